// Package redistable asks Redis, or what speaks its protocol, described by a
// file of settings in the form of Postfix's other tables.
//
// Invariants:
//   - A key reaches the server as an argument, never as a part of a command.
//   - A server that does not answer is an outage, never "not found". So is an
//     answer of another type than the file says.
//   - The password is in no error.
//
// Reading order: config.go, table.go.
package redistable
