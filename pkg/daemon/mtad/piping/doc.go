// Package piping delivers to programs: it hands a message to the helper unit
// of a transport of type pipe, and says what the end of the program means.
// mtad itself runs nothing.
//
// Invariants:
//   - A helper that does not answer defers; a program may then run twice, and
//     mail is never lost.
//   - What a program prints reaches a log line or a notification as one line
//     of printable text.
//
// Reading order: piping.go.
package piping
