// Package socketmap speaks Postfix's socketmap_table(5): a request "<map> <key>"
// and a reply "OK <value>", "NOTFOUND ", "TEMP <reason>", "TIMEOUT <reason>" or
// "PERM <reason>", each a netstring, any number of them on a connection.
//
// Invariants: a reply that is not OK or NOTFOUND, and every fault of the
// connection, is an outage; both directions have caps.
//
// Reading order: wire.go, client.go. authd is the server.
package socketmap
