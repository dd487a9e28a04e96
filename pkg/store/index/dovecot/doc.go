// Package dovecot reads what Dovecot's own index files say of a folder's
// MODSEQ, and raises it there when a folder is given back: clients remember the
// highest one they have seen, whichever server told them.
//
// Invariants:
//   - What is read is never below Dovecot's value, whatever the files hold.
//   - What is written is a transaction of Dovecot's own kind, or an empty log.
//
// Files in reading order: modseq.go, raise.go.
package dovecot
