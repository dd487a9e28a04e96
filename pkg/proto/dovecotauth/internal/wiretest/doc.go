// Package wiretest reads and plays the transcripts in testdata: lines of
// "C: …" and "S: …" as they go over the wire, in Go's string escapes (\t is a
// field separator, \x01t an escaped one). A word in <angle brackets> stands
// for a value that changes from run to run; the same word stands for the same
// value within one transcript. "S: EOF" is a closed connection. Other lines of
// the form "word: …" are for the test that plays the file.
//
// Reading order: wiretest.go.
package wiretest
