// Package authconf is the file authd.yaml: its sections as structs, their
// defaults, and the rules between their keys.
//
// Invariants: whatever is wrong with a configuration is found when it is read,
// with its line, not at the first login; nothing here opens a file or a
// connection.
//
// Reading order: config.go (sections, defaults, rules).
package authconf
