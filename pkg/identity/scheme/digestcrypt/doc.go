// Package digestcrypt is the hashes of crypt(3) that repeat a digest:
// SHA512-CRYPT ($6$), SHA256-CRYPT ($5$), MD5-CRYPT ($1$) and sha1crypt
// ($sha1$).
//
// The functions compute; who reads the stored text has checked salt, rounds
// and the length of the password. The first three share their rounds: these
// concatenate the same pieces in eight layouts, which are written once, so
// that a round copies one digest and hashes one buffer.
//
// Invariants: no goroutines; a round allocates nothing.
//
// Reading order: rounds.go (what the three share), sha.go, md5.go, sha1.go,
// base64.go.
package digestcrypt
