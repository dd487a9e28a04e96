// Package login is imapd's login role: the process that faces the network
// until somebody has logged in, and that ends TLS afterwards as well.
//
// Duty: accept, speak TLS and the part of IMAP and POP3 before a login, ask
// authd, give the connection to the session role, and pump bytes between TLS
// and the session role.
//
// Invariants:
//   - Nothing here opens a mail file, and no user name that this process says
//     is believed by anybody: the session role asks authd itself, or opens what
//     authd has sealed for it.
//   - Strangers are bounded: in number, per address, in time, in bad commands
//     and in bytes. When the places are full the oldest one without a login
//     has to go.
//   - An outage of authd or of the session role is [UNAVAILABLE], never a
//     rejected password.
//   - A connection has at most two goroutines, and both end with it. While it
//     is idle it holds no buffer here.
//   - SIGTERM sends those away who have not logged in; sessions are pumped on
//     until the drain limit.
//
// Files in reading order: config.go, role.go (start and listeners), entry.go
// (one connection, from accept to its end), proxied.go (proxies in front),
// relay.go (authd), engines.go
// (IMAP and POP3), handoff.go (session role), pump.go, waiting.go (those
// without a login), sessionid.go, events.go, metrics.go.
package login
