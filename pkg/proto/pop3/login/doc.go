// Package login speaks POP3 up to the moment somebody is logged in (RFC 1939
// AUTHORIZATION state with APOP, RFC 2449 CAPA, RFC 2595 STLS, RFC 5034 AUTH).
//
// It mirrors pkg/proto/imap/login: an Authenticator, supplied by its user,
// answers; a success writes nothing, so that another process can go on with
// the connection and write "+OK Logged in."; bytes that came in plaintext
// behind STLS are dropped; an outage is [SYS/TEMP], never a rejection.
//
// Reading order: login.go (what is promised), engine.go (the loop and the
// command table), commands.go.
package login
