// Package yescrypt is yescrypt 1.1 with the parameters that crypt(3) makes ($y$,
// the hash of /etc/shadow in Debian since 11), and gost-yescrypt ($gy$).
//
// yescrypt is scrypt with another inner loop: pwxform multiplies, and looks up
// tables that it rewrites as it goes. "Flags" of a hash choose between many
// forms; crypt(3) makes one, "j", with one lane and without a ROM.
//
// Invariants: no goroutines; a hash needs no memory but that of a Memory, once
// it has grown, and some blocks; Wipe clears it.
//
// Reading order: yescrypt.go (the derivation of the key), smix.go (the memory),
// pwxform.go and salsa.go (its inner loops), gost.go, streebog.go, tables.go,
// base64.go.
package yescrypt
