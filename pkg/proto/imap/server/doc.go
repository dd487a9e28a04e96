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
//   - A session has one writer, and its commands write whole lines. Most run
//     one after the other on the session's own goroutine, which flushes when no
//     further command is buffered.
//   - While a command takes long the session reads on, a little, and runs
//     beside it what RFC 9051 section 5.5 allows: that is data in the command
//     table. Whatever overlaps, the mailbox becomes, and each command answers,
//     what it would have one by one; only the order of the answers differs.
//   - An idle connection holds no buffer, and where there is a lot to park it
//     in no goroutine; IDLE and NOTIFY start none. What waits for a client to
//     read does not grow without end.
//   - When the connection dies, commands that only read stop. No goroutine
//     outlives Serve.
//   - A capability is announced only when all of its RFC is served.
//   - Literals of messages go from the connection to the Account as a stream.
//   - A panic ends the connection it happened on, and only that.
//
// Reading order: backend.go (what an Account must do), server.go and
// session.go (the loop), command.go (the command table), call.go (one command
// from its tag to its answer), ahead.go (commands beside each other), view.go
// (sequence numbers and what the client is told), cmd_<verb>.go (one command
// each; NOTIFY's cmd_notify_watch.go is what waits to be told, cmd_notify_tell.go
// how it is told between commands), fetch.go and match.go (the two large ones).
package server
