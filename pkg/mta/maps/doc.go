// Package maps asks lookup tables about addresses and domains in the order of
// keys that Postfix documents for each kind of table.
//
// Invariants:
//   - fail.NotFound means that every table was asked and said no; a table that
//     cannot be asked gives fail.Unavailable, and nothing is decided.
//   - Tables of patterns see the whole key only, as it was written; all others
//     see it in lower case.
//
// Reading order: maps.go (addresses), domain.go (names and their parents).
package maps
