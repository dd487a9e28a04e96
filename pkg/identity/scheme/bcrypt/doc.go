// Package bcrypt is the hash of OpenBSD (Provos and Mazières, "A Future-Adaptable
// Password Scheme"), as crypt(3) computes it for $2a$, $2b$, $2x$ and $2y$.
//
// golang.org/x/crypto/bcrypt takes $2a$ and $2x$ for $2y$, which is wrong for
// some passwords with bytes over 127, and costs more time than crypt(3). Where
// the two must agree a test compares them.
//
// Invariants: no package state beyond the constant table; the state of a
// computation can be cleared.
//
// Reading order: bcrypt.go (key schedule and hash), key.go (what the variants
// do to the password), base64.go, tables.go.
package bcrypt
