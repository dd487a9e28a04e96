// Package fail gives errors a kind from a closed list.
//
// The kind decides what a peer is told (4xx or 5xx, NO or BYE) and survives
// wrapping; the text is for people. An error without a kind counts as
// Temporary: a fault nobody foresaw must never turn into a bounce.
//
// Reading order: fail.go.
package fail
