// Package server is Postcote's IMAP engine: what happens on a connection
// after somebody is logged in (RFC 3501, RFC 9051 and the extensions named in
// capability.go). It opens no file and knows no user: an Account, supplied by
// its user, is the mail.
//
// Invariants:
//
//   - A session's sequence numbers come from a Snapshot that it has pinned
//     (view.go). Other sessions and deliveries change the mailbox at will; the
//     client learns of it only where RFC 3501 section 7.4.1 allows.
//   - Only the session's own loop writes to the connection, and it flushes
//     when no further command is buffered.
//   - An idle connection holds no buffer; IDLE starts no goroutine.
//   - A capability is announced only when all of its RFC is served.
//   - Literals of messages go from the connection to the Account as a stream.
//   - A panic ends the connection it happened on, and only that.
//
// Reading order: backend.go (what an Account must do), server.go and
// session.go (the loop), command.go (the command table), view.go (sequence
// numbers and what the client is told), cmd_<verb>.go (one command each),
// fetch.go and search.go (the two large ones).
package server
