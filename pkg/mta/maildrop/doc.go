// Package maildrop is the folder in which sendmail(1) leaves mail while mtad
// is down. docs/formats/maildrop.md has the bytes.
//
// Every local user may create files there and nobody but their owner and mtad
// can read them: the folder belongs to mtad with mode 3777 (setgid, so that
// the files belong to mtad's group; sticky, so that users cannot take each
// other's files away).
//
// Invariants:
//   - Writer.Commit returns nil only when a power failure can no longer lose
//     the message; until then it has a name that no reader looks at.
//   - The sender of a file is its owner, as the kernel says; nothing in the
//     file can claim another.
//   - A file is taken whole or not at all: length and checksum are compared
//     before any of it is used.
//
// Crash points: those of the writer, maildrop.before_sync,
// maildrop.before_rename and maildrop.before_syncdir.
//
// Files in reading order: format.go, write.go, read.go.
package maildrop
