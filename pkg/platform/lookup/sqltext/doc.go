// Package sqltext makes statements with parameters of SQL in which variables
// stand where values belong, in quotes or without.
//
// Invariant: no value ever becomes a part of the text of a statement.
//
// Reading order: sqltext.go.
package sqltext
