// Package login speaks IMAP up to the moment somebody is logged in.
//
// It is the part of IMAP that faces strangers: greeting, CAPABILITY, NOOP,
// ID, STARTTLS, LOGIN, AUTHENTICATE and LOGOUT (RFC 3501 sections 6.1 and
// 6.2, RFC 2971, RFC 4959). It knows no mailbox and no password: an
// Authenticator, supplied by its user, answers.
//
// Invariants:
//
//   - A successful login writes nothing. The Success carries the tag and
//     whatever the client pipelined behind the command, so that another
//     process can go on with the connection and write the tagged OK.
//   - Bytes that came in plaintext before STARTTLS was answered are dropped.
//   - One command at a time, one line of at most 8 KiB, three bad commands.
//   - An outage of the Authenticator is [UNAVAILABLE], never a rejection.
//
// Reading order: login.go (what is promised), engine.go (the loop),
// commands.go (the commands), authenticate.go (the exchanges), parse.go.
package login
