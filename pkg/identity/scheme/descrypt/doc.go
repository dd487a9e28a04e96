// Package descrypt is the DES-based crypt(3): the traditional hash with a salt
// of two letters, and BSDi's extension ("_") with a count and four letters.
//
// DES is FIPS 46-3; salt, key and output are those of crypt(3). Old user
// databases hold such hashes. They are weak: the traditional one sees eight
// characters and costs a few microseconds.
//
// Invariants: no package state beyond constant tables, no goroutines.
//
// Reading order: crypt.go (the two hashes), des.go (the cipher), tables.go.
package descrypt
