// Package load makes the work of the benchmarks: small clients of IMAP, POP3 and
// SMTP (LMTP is a mode of it) that look at no more of an answer than they must,
// a server that takes relayed mail, and messages. Client and server share the
// machine, so that what a client does is taken from what the server can.
//
// A client belongs to one goroutine. What it does not expect is an error: load
// that fails measures nothing.
//
// Files in reading order: crowd.go (many clients at work), line.go, imap.go,
// pop3.go, smtp.go, sink.go, corpus.go.
package load
