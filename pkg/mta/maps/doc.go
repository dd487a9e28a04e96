// Package maps asks the lookup tables of one configuration key about addresses
// and domains, in the order of keys that Postfix documents.
//
// Invariants:
//   - fail.NotFound means that every table was asked and said no; a table that
//     cannot be asked gives fail.Unavailable, and nothing is decided.
//   - An error names the key of the configuration, and what is found is told
//     to whoever asks for explanations.
//
// Reading order: maps.go (addresses), domain.go (names and their parents).
package maps
