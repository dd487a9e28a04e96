// Package sasl holds the SASL mechanisms (RFC 4422) as pure state machines:
// bytes in, bytes out, no sockets, no users. Both sides use go-sasl's
// interfaces, so that other mechanisms and other programs fit in.
//
// A server mechanism learns who the peer claims to be and asks its Backend
// whether that is so; identity supplies the Backend. A mechanism is one file
// and one row of the table in mech.go.
//
// Invariants: no response makes a mechanism panic or keep more than
// MaxResponse bytes; the Backend is asked at most once per exchange and never
// with a name that is empty, too long, not UTF-8 or holds control characters;
// after an error or the end every further step is an error.
//
// Reading order: mech.go (table, Backend, checks), plain.go, login.go,
// choose.go (which mechanism to use towards another server).
package sasl
