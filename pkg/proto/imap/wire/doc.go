// Package wire reads and writes the bytes of IMAP (RFC 3501 section 9).
//
// A Reader turns a connection into tokens under caps on size, depth and
// count; a Writer batches answers. Neither knows a command.
//
// Invariants:
//
//   - NUL is refused everywhere but inside a streamed literal.
//   - A literal is announced to the client ("+ OK") before it is read, only
//     when it is synchronising, and only when it will be read. A
//     non-synchronising literal that is refused is drained, so that its bytes
//     are never taken for commands.
//   - Nothing is kept of an idle connection: both sides give their buffers
//     back to a pool.
//   - Writes happen when the buffer is full and when Flush is called, never
//     per line.
//
// Reading order: reader.go (lines and literals), tokens.go (atoms, strings,
// lists), set.go (number sets), mailbox.go (names, modified UTF-7), fetch.go
// (section specifications), date.go, writer.go.
package wire
