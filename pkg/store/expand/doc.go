// Package expand reads message files that were stored compressed: by Dovecot's
// mail_compress (zlib) plugin, or by hand. We store none.
//
// Duty: tell a compressed file from a message by its first bytes, and give the
// message behind it as if it had been stored plainly, with random access.
//
// Invariants:
//   - A file that does not begin with one of the magic numbers is passed
//     through untouched, at the cost of one short read.
//   - What is expanded has caps on its size and on its ratio to the file's,
//     and is complete and checked before anybody reads of it.
//   - At most 64 KiB of it are in memory; the rest is in a file without a
//     name.
//
// Files in reading order: kinds.go, expand.go.
package expand
