// Package imaplogin is Dovecot's imap password database: a password is right
// when another IMAP server takes it. It is for migrations: users move with
// the passwords that only the old server knows.
//
// It speaks as much IMAP as that takes: greeting, CAPABILITY, STARTTLS, LOGIN,
// LOGOUT (RFC 3501 sections 6.2.1, 6.2.3).
//
// Invariants: a password travels over TLS with a verified certificate, unless
// the configuration says otherwise by name; names and passwords are sent as
// literals, so that none of their bytes is IMAP; only the tagged NO to LOGIN
// without a code that speaks of the server's state is a refusal, all else is
// an outage; a reply is read up to a limit.
//
// Reading order: driver.go, session.go.
package imaplogin
