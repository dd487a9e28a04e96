// Package drivers makes password and user databases of a configuration.
//
// A driver is a row of the table; a family of drivers is a file that makes
// rows. What drivers stand on (connections, files in memory) is kept over a
// reload if its settings did not change, and closed when no request uses it any
// more.
//
// Invariants: nothing here connects or fails for want of a peer; two entries
// with equal settings share connections, never rules; an entry's ID changes
// with any setting that its answers depend on.
//
// Reading order: drivers.go (Build, the table), keep.go (what is kept over a
// reload), then a file for each family.
package drivers
