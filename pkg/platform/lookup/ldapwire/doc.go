// Package ldapwire is what stands between a directory and the LDAP library:
// where a URI leads, StartTLS, and a look at every message before it is parsed.
//
// Invariants: a server's answer is bounded and well-formed before it is
// parsed; nothing that was sent in the clear passes for a part of what is
// encrypted.
//
// Reading order: dial.go, guard.go.
package ldapwire
