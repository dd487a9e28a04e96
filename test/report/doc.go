// Command report runs the command of its arguments, a `go test -json`, and prints what
// go test prints without -v or -json, and in addition each skipped test with its
// reason: a test that did not run must not look like one that passed.
//
// It exits as the command does.
package main
