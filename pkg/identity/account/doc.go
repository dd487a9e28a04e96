// Package account is what the user databases have in common: the canonical
// form of a user's name, what a name and a home may look like, and extra
// fields.
//
// Invariants: a name that passes CheckName can be a part of a path, a line and
// a log; names are compared in canonical form only.
//
// Reading order: account.go (names, fields), match.go (masks).
package account
