// Package tables makes mtad's lookup tables from their names: those of package
// lookup, and those that need a protocol or a database.
//
// Invariants:
//   - Tables with the same name are one, with one copy in memory and one set of
//     connections, across reloads too.
//   - Nothing is closed that the configuration of now, or the one before it,
//     uses: sessions keep the one that they began with.
//
// Reading order: tables.go, events.go.
package tables
