// Package link keeps one connection to an auth process and runs many requests
// over it. Both client packages stand on it.
//
// Invariants: at most one connection and one reading goroutine per Link; the
// goroutine ends with its connection; a lost connection fails every request on
// it with fail.Unavailable; a peer that answers twice without being asked is
// disconnected, so replies never pile up.
//
// Reading order: link.go (getting a connection), conn.go (one connection),
// call.go (one request).
package link
