// Package tablecmd is the command `mtad table`, and postmap and postalias by
// what of them makes sense for tables that are read from their text: asking,
// listing and checking.
//
// Reading order: tool.go (what is done), command.go (mtad table), postmap.go.
package tablecmd
