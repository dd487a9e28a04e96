// Package header looks at and edits the header of a message on its way in.
//
// Editor is a writer beside the one into the queue: it sees the message once,
// in pieces of any size, holds its header and nothing of its body. It counts
// Received fields, notes the Message-ID for the log, removes the fields that
// must not travel on, and, for mail that is submitted rather than relayed, adds
// what RFC 6409 section 8 lets a submission server add. The queue keeps the
// message as received, and the edited header, if there is one, apart from it.
//
// Trace builds our own Received field.
//
// Invariants:
//   - Lines end in CRLF on the way in; the SMTP engine sees to that.
//   - What is not recognised stays byte for byte.
//   - An unedited header costs nothing: Found.Edited is false.
//   - Nothing a peer said (HELO name, host name) can break a line of our own.
//
// Reading order: editor.go, trace.go, wide.go.
package header
