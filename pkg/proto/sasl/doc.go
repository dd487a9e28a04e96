// Package sasl holds the SASL mechanisms (RFC 4422) as pure state machines:
// bytes in, bytes out, no sockets, no users. Both sides use go-sasl's
// interfaces, so that other mechanisms and other programs fit in.
//
// A server mechanism learns who the peer claims to be and asks its Backend
// whether that is so; identity supplies the Backend. A mechanism is one row of
// the table in table.go, which says as data what it needs and what it is worth.
//
// A server's last message (SCRAM, DIGEST-MD5) comes from the same Next that says
// done. It goes along with the success where a protocol has room for it; else
// it is one more challenge, to which the client's answer is empty.
//
// Invariants: no response makes a mechanism panic or keep more than
// MaxResponse bytes; the Backend is asked at most once per exchange, and never
// with a name that is empty, too long, not UTF-8 or holds control characters;
// a Secret that was given out is followed by exactly one Proved, unless the
// peer goes away; an unknown user looks like a wrong password; proofs are
// compared in constant time; after an error or the end every further step is
// an error.
//
// Reading order: mech.go (Backend, checks), secret.go, table.go, once.go (the
// two shapes of servers), plain.go, login.go, external.go, cram.go, digest.go,
// scram.go, scram_client.go, token.go, apop.go, choose.go (which mechanism to
// use towards another server).
package sasl
