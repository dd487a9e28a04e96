// Package passdb decides whether somebody is who he says, by a chain of
// password databases with Dovecot's rules.
//
// Invariants: a database that cannot be asked, a full queue and a stored
// password that cannot be read are outages, never refusals; a check of a
// password hashes, or remembers a hash, whether the user exists or not, and the
// making of a secret costs the same whoever it is for; the fields that decide
// beside the password (allow_nets and the like) are looked at after it, and anew
// each time; what a database said that then failed leaves no trace in the
// request; the peer learns the reason of a refusal only if it is about an
// account whose password it knows.
//
// Reading order: passdb.go (Account, Refused), driver.go (what databases are),
// entry.go (Entry, Chain, Verdict), chain.go (what may be asked), walk.go (the
// rules), ask.go (one database), compare.go (hashes, caches, rehashing),
// secret.go (challenge mechanisms), fields.go, nets.go, file.go (passwd-file).
package passdb
