// Package format is the bytes of the queue's files: headers, records and the
// way damaged files are read. docs/formats/queue.md has the tables.
//
// It knows nothing of messages beyond ids and lengths, and touches no file
// but through io.ReaderAt.
//
// Invariants:
//   - Every byte that matters is under a CRC32C; a record also names the
//     incarnation of its file (epoch or generation) and its place in the
//     sequence, so that what an earlier use of the file left behind is never
//     taken for new.
//   - A record says how much of the file was durable when it was written. So
//     a reader can tell damage (a gap below that mark) from what a crash
//     legitimately leaves (a gap above it).
//   - Decoders never panic and read at most what the record's own length says.
//
// Reading order: header.go (file headers), record.go (a message in a
// segment), frame.go (a change in the state log), payload.go (the kinds of
// change), scan.go (walking a file, damaged or not).
package format
