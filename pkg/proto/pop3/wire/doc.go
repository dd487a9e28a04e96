// Package wire reads POP3 command lines and writes POP3 replies (RFC 1939
// section 3, RFC 2449).
//
// Invariants: a line is never held beyond its cap, whatever the peer sends;
// output is flushed only before a read that would wait; a Conn holds no
// buffer while it waits for an idle client.
//
// Reading order: conn.go (lines in, replies out), dot.go (multi-line bodies).
package wire
