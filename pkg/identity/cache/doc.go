// Package cache keeps answers of databases and verdicts on passwords for a
// while.
//
// Invariants: a key is a digest, keyed with a secret of this process, over
// everything that the answer depends on, so that no two questions share an
// entry by mistake and no password can be read from memory or guessed at from
// a dump; the memory has a limit, beyond which the longest unused entry goes;
// an entry never outlives its time. Only what is known is kept: whoever asks
// must not put an outage here.
//
// Reading order: cache.go.
package cache
