// Package bounce writes delivery status notifications: what a sender gets when
// mail could not be delivered, is late, or (on request) was delivered.
//
// A notification is a multipart/report (RFC 6522) of a text for people, a
// message/delivery-status for programs (RFC 3464), and the message or its
// header (RFC 3461 section 6.2). What it is about, and whether one is due at
// all, is decided by package queue.
//
// Invariants:
//   - The text and the status say the same of the same recipients.
//   - Nothing that came from the network can begin a new header field or part:
//     control characters are replaced, the boundary holds the notification's
//     own queue id.
//   - Non-ASCII addresses use the media types of RFC 6533; otherwise the
//     status part is plain ASCII.
//   - The original is streamed; memory does not grow with it.
//
// Files in reading order: compose.go (the message), text.go (for people),
// status.go (for programs), original.go (what comes back).
package bounce
