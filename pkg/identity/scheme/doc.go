// Package scheme reads, checks and makes stored passwords in Dovecot's forms:
// "{SCHEME}hash", "{SCHEME.b64}hash", "{SCHEME.hex}hash" and the bare "$id$…"
// of crypt(3).
//
// Invariants: a stored password is never trusted with our memory or time, its
// costs are capped when it is parsed; comparisons take constant time; hashing
// stays on the calling thread; weak schemes work only where the policy names
// them. OTP and S/Key are left out: each login would have to write the
// database.
//
// A scheme is a row of the table in table.go. Names of one computation are
// rows of one kind, and for the names whose hashes Dovecot gives to crypt(3) the
// hash decides what it is.
//
// Reading order: scheme.go (Parse, Generate, what is weak), table.go,
// encoding.go (what stands behind the brace), costs.go; then the schemes:
// argon2id.go, bcrypt.go, crypt.go, yescrypt.go, digest.go, pbkdf2.go, scram.go,
// challenge.go (CRAM-MD5, DIGEST-MD5), plain.go; secret.go (what challenge
// mechanisms need). The packages below compute: argon2, bcrypt, digestcrypt,
// descrypt, yescrypt.
package scheme
