// Package order has the rules of RFC 5256 that need nothing of a mailbox: what
// a subject is without its "Re:", and what a message id is.
//
// Invariants:
//
//   - Every function is total: whatever stands in a header gives an answer.
//   - Work is linear in the input.
//
// Reading order: subject.go, msgid.go.
package order
