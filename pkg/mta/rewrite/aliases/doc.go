// Package aliases reads files in the form of aliases(5) and expands the names
// in them: into addresses, and into commands and files that somebody else has
// to look after. Nothing here runs a program or writes a file.
//
// Invariants:
//   - Expansion ends: depth, number of targets and size of included files are
//     capped, a name among its own results means the mailbox, and one that comes
//     back by way of others is an error.
//   - Commands and files count only where the operator allows them; by default
//     not in included files.
//   - An included file that others may write is refused.
//   - A table or an included file that cannot be read defers; nobody is left
//     out of a list because of it.
//
// Reading order: file.go (the file), value.go (one right-hand side),
// expand.go, forward.go (.forward files, which somebody else reads).
package aliases
