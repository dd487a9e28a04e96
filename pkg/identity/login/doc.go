// Package login is one attempt to log in, from credentials to verdict: the
// name's canonical form, the rules about services and networks, the wait that
// earlier failures earned, the chain of password databases, who may act as
// whom, and the delay before a refusal is told.
//
// Invariants: every refusal takes the same way out, whatever its reason, and
// leaves at a time that does not tell how long it took to find; an outage is
// told at once and counts against nobody; a certificate counts only when it
// was valid and names a user; a guest never becomes a user, nor a user the
// guest.
//
// Reading order: names.go (what a name may be), login.go (Service, Attempt),
// ways.go (password, challenge, token, certificate, guest).
package login
