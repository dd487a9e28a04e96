// Package tcptable asks servers of Postfix's tcp_table(5): a line "get key",
// and a line "200 value", "500 not found" or "400 try again" in return, with
// %XX for bytes that do not fit into a line.
//
// Invariants: a reply of any other form, and every fault of the connection, is
// an outage; lines have a cap; a connection on which anything went wrong is
// not used again.
//
// Reading order: wire.go, table.go.
package tcptable
