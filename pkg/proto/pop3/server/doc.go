// Package server speaks POP3 after the login (RFC 1939 TRANSACTION and UPDATE
// states, RFC 2449).
//
// Reply texts and the order of capabilities are Dovecot's, because clients
// and log scanners know them. Invariants: nothing is removed before QUIT;
// message numbers never change within a session; an idle session holds no
// buffer; a session holds no more than two bits per message, from the first
// DELE or RETR on.
//
// Reading order: server.go (session, loop, command table), commands.go,
// bitset.go; uidl.go (what unique ids are made of), logout.go (the closing
// log line).
package server
