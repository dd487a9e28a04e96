// Package scheme reads, checks and makes stored passwords in Dovecot's forms:
// "{SCHEME}hash", "{SCHEME.b64}hash", "{SCHEME.hex}hash" and the bare "$id$…"
// of crypt(3).
//
// Invariants: a stored password is never trusted with our memory or time, its
// costs are capped when it is parsed; comparisons take constant time; hashing
// stays on the calling thread; schemes that keep the password readable work
// only where the policy names them.
//
// A scheme is one file and one row of the table in scheme.go.
//
// Reading order: scheme.go (table, Parse, Generate), argon2id.go, bcrypt.go,
// shacrypt.go, plain.go; package argon2 below.
package scheme
