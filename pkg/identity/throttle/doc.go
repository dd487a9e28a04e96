// Package throttle makes guessing passwords slow: a delay before each refusal
// is told, and a growing delay before a peer that keeps failing, or an account
// that is guessed at, is even checked.
//
// Invariants: refusals leave together on a tick, so that the time of one tells
// nothing about why; memory is bounded whatever number of addresses attack;
// a client that repeats one wrong password counts once; an attacker can make
// strangers to an account wait, never its owner where the owner has been
// before, and nobody for longer than 15 s; a store that is down keeps nobody
// from logging in.
//
// Reading order: delay.go, guard.go, memory.go, recent.go; redis/ shares the
// memory between nodes.
package throttle
