// Package transcript runs protocol dialogues that are written down as text
// against a server, for tests. A file reads like the session on the wire:
//
//	# a comment
//	@ key value           an option for the test that starts the server
//	C: EHLO client        what the client sends, with CRLF
//	R: a\r\n.\n           the same without CRLF added
//	C*1000: RCPT TO:<u%d> a thousand lines, numbered from 0
//	S: 250-mx             what the server must answer; * stands for anything
//	S*1000: 250 *
//	H: message *          the next matching record of the server's hooks
//	T:                    the client starts TLS
//	W:                    the client closes its side
//	X:                    the server must have closed the connection
//
// In C and R lines \r \n \t \\ \xHH are octets and c{1000} repeats the
// character or escape before the brace. Client lines in a row leave as one
// write.
//
// Files in reading order: parse.go, run.go.
package transcript
