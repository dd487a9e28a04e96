// Package waits is how the trade tells whoever runs a request that it is about
// to wait, so that a goroutine which others depend on can be relieved first.
//
// Invariants: what is about to wait on purpose or for its turn (a penalty, a
// delay, a place to hash) says so by Notice; a database that asks another
// process need not, because requests that might meet one run on goroutines of
// their own.
//
// Reading order: waits.go.
package waits
