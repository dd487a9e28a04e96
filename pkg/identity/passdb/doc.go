// Package passdb decides whether a password is right.
//
// Invariants: a database that cannot be asked, a full queue and a stored
// password that cannot be read are outages, never refusals; every check hashes
// once, whether the user exists or not, unless the very same check succeeded a
// moment ago; what a user may do beyond the password (allow_nets) is decided
// anew each time.
//
// Reading order: passdb.go (DB, Account), file.go (passwd-file), checker.go
// (the chain), cache.go, nets.go.
package passdb
