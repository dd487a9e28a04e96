// Package deliverd is the local delivery agent: LMTP in, Maildir out.
//
// Duty: it joins the LMTP engine to the mail store. For each recipient it asks
// authd's userdb where the mail lives, writes one file and says so.
//
// Invariants:
//   - A recipient's 250 is said only after the message is durable in the
//     folder; a failure leaves nothing behind.
//   - A lookup that fails is 451, never "User doesn't exist".
//   - Message bodies above 64 KiB are never in memory.
//   - It writes message files only: no UID list, no index. imapd gets a hint
//     and looks for itself.
//
// Replies and log texts are Dovecot's, whose place it takes.
//
// Files in reading order: config.go, app.go (start and stop), session.go (one
// LMTP connection), store.go (one message for its recipients), spool.go (the body), trace.go (added headers),
// events.go, metrics.go.
package deliverd
