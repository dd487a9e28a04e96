// Package server is the engine of an SMTP or LMTP server: MX, submission and
// LMTP are modes of one command table (RFC 5321, 2033, 2920, 3030, 3207, 4954).
//
// Duty: it speaks the protocol on one connection and asks its Session for
// every decision, from before the banner to after the end of data. It does no
// lookup, keeps no mail and writes no log: what happened goes to hooks.
//
// Invariants:
//   - Hooks return replies; one loop writes them, in command order, and
//     flushes only when no complete command is waiting.
//   - A verdict may come later than its command. Only RCPT commands overlap.
//   - Nothing of a transaction outlives its end, whatever ended it, and
//     nothing at all learned in the clear outlives STARTTLS.
//   - Memory per connection is bounded by the limits, whatever the client
//     sends; a connection that waits for a command holds no read buffer.
//   - No goroutine is started by the engine; hooks run on the caller's.
//
// Files in reading order: config.go, session.go (what a consumer implements),
// conn.go (what hooks see), replies.go, summary.go, server.go (one connection),
// input.go, output.go, table.go (the command table), loop.go, pending.go,
// transaction.go, body.go, and one cmd_<verb>.go for each verb.
package server
