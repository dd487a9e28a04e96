// Package route decides where a recipient's mail goes next.
//
// A recipient address falls into one class (local, alias, mailbox, relay or
// default); tables of transports, the sender's own, and the class give a
// transport and a next hop. Nothing here opens a file: tables are given, and
// the only ones opened are those of domains (tables.go).
//
// Invariants:
//   - Policy and delivery ask the same Table with the same parsed address, so
//     a recipient that was admitted as "ours" cannot be sent elsewhere.
//   - A domain is in one class only; New refuses a table that says otherwise.
//   - A failed lookup of the domain list is an error, never "not ours".
//   - Hop.String and ParseHop are inverse: a hop stored with a queued
//     recipient means the same after a restart.
//
// Reading order: hop.go (transport and next hop, their grammar), domains.go
// (classes), tables.go (domains in tables), table.go (what it is
// made from, and the class of an address), pick.go (the decision).
package route
