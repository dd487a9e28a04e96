// Package dovecot reads what Dovecot's own index files say of a folder's
// MODSEQ: clients remember the highest one they have seen, whichever server
// told them.
//
// Invariant: what is read is never below Dovecot's value, whatever the files
// hold.
package dovecot
