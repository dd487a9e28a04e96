// Package edge is what mtad demands of the clients of a listener, and tells
// them, before there is any mail: their names, the proxies in front of them,
// the EHLO keywords each network sees, the mechanisms for logins, the ETRN
// command, what is told of a session in Received fields and behind refusals.
//
// Invariants:
//   - A name is believed only when it leads back to the address.
//   - A header or command that changes who a client is counts only from the
//     networks that are configured for it.
//   - What is not announced is not served (the engine sees to it).
//
// Files in reading order: config.go (the section smtpd), policy.go (what it
// means for one client), sasl.go, unlisted.go,
// received.go, footer.go, name.go, proxy.go, own.go.
package edge
