// Package login is one attempt to log in, from credentials to verdict: the
// name's canonical form, the wait that earlier failures earned, the password
// check, who may act as whom, and the delay before a refusal is told.
//
// Invariants: every refusal takes the same way out, whatever its reason; an
// outage is told at once and counts against nobody.
//
// Reading order: login.go.
package login
