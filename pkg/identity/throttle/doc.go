// Package throttle makes guessing passwords slow: a delay before each refusal
// is told, and a growing delay before a peer that keeps failing is even
// checked.
//
// Invariants: refusals leave together on a tick, so that the time of one tells
// nothing about why; memory is bounded whatever number of addresses attack;
// a client that repeats one wrong password counts once.
//
// Reading order: delay.go, penalty.go.
package throttle
