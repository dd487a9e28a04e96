// Package errormail writes what Postfix's smtpd sends to the postmaster in the
// classes bounce, data, policy, protocol, resource and software of
// notify_classes: the transcript of an SMTP session in which something of that
// kind went wrong.
//
// Invariants:
//   - What a client sent to log in is not in a transcript.
//   - A transcript is bounded, and so is the number of those that are sent in
//     an hour: a stranger can cause them at will.
//   - No line of a transcript begins a header field, or is longer than mail
//     allows; all of it is ASCII.
//
// Files in reading order: transcript.go (what is kept of a session), letter.go
// (the message), sender.go (who sends it).
package errormail
