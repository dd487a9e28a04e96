// Package server speaks POP3 after the login (RFC 1939 TRANSACTION and UPDATE
// states, RFC 2449).
//
// Reply texts and the order of capabilities are Dovecot's, because clients
// and log scanners know them. Invariants: nothing is removed before QUIT;
// message numbers never change within a session; an idle session holds no
// buffer.
//
// Reading order: server.go (session, loop, command table), commands.go.
package server
