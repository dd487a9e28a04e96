// Package text keeps what is written in text files in memory: logical lines
// as Postfix joins them, a compact index of keys and values, and files that
// are read again when they change.
//
// Invariants:
//   - Size, lines and entries have caps. A file beyond one of them is an
//     error as a whole: half a table would say "not there" of the other half.
//   - A line that is not understood is a Problem, and the others count.
//   - Readers never wait for a file that is being read again.
//
// Reading order: lines.go (logical lines), index.go (Index), file.go (File),
// pairs.go (lines of a key and a value).
package text
