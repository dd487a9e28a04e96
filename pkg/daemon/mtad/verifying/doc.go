// Package verifying is how mtad finds out whether an address takes mail: the
// section `address_verify`, the probes, and the report that `sendmail -bv`
// asks for.
//
// Invariants:
//   - A probe takes the way of a message: the same rewriting, routes, login and
//     TLS. It ends behind RCPT, and nobody gets anything.
//   - Programs and aliases are not followed into: that they are there is enough.
//   - What cannot be looked up is deferred, never undeliverable.
//
// Reading order: config.go, sender.go, probe.go, report.go (verb and notification).
package verifying
