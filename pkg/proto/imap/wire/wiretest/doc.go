// Package wiretest plays transcripts against a live engine, for tests.
//
// A transcript is a text file that reads like the session on the wire:
//
//	# a comment
//	C: a1 NOOP            a line from the client, CRLF is added
//	C~ a1 NO\x00OP\r\n    bytes from the client, with escapes, nothing is added
//	S: a1 OK <any>        a line from the server; <any> stands for any text
//	S* * 3 EXISTS         the same, in any order among neighbouring S* lines
//	S? * OK Still here    the same, as often as it comes, before another one
//	! deliver INBOX       something that happens elsewhere (Script.Events)
//	DEFLATE               from here on both sides compress (RFC 4978)
//	EOF                   the server closes the connection
//
// A digit after the letter (C2:, S2:, EOF2) names a further connection.
package wiretest
