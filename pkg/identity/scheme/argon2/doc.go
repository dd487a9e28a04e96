// Package argon2 is Argon2i and Argon2id (RFC 9106) on the calling thread, in
// memory that is used again.
//
// golang.org/x/crypto/argon2 computes in goroutines of its own and allocates
// its memory for every password. Here a hash must stay on one thread of low
// priority, so that it never takes a core from a cheap request, and a flood
// of logins must not become a flood of garbage. The result is the same; a test
// compares the two.
//
// Invariants: no goroutines; no memory beyond the arena once it has grown;
// Wipe leaves nothing derived from a password behind.
//
// The compression function is where the time goes. On amd64 with AVX2 it is in
// assembly (compress_amd64.s), which takes less than a third of the time of the
// Go code; that one stays for other processors and as the assembly's reference.
//
// Reading order: argon2.go (the algorithm), block.go (its compression function),
// compress_amd64.go and its assembly.
package argon2
