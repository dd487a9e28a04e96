// Package request describes one login or lookup: who, by what means, from
// where. Password and user databases read it, and their templates take their
// variables from it.
//
// Invariants: a value that came from a peer is only ever data; Var returns it
// as it is, and whoever puts it into a query, a filter or a path escapes it
// there. Fields are added by databases, never removed.
//
// Reading order: request.go, vars.go (the variables' names).
package request
