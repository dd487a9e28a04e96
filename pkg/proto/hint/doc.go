// Package hint tells imapd's session role that deliverd has put a message
// into a mailbox, so that a client in IDLE hears of it at once.
//
// Duty: the wire form of one hint, a sender that never holds up a delivery,
// and the counting by which a receiver notices that hints were lost.
//
// Invariants:
//   - A hint is a hint. Losing one costs a look at the folder, believing a
//     wrong one must cost no more: names are validated and never opened as
//     paths.
//   - Each hint of one sender has the next sequence number, sent or not. A
//     number that is not the next one, or a new generation, means that
//     something was missed: look again at everything.
//   - Every length is capped and there is one encoding of each hint.
//
// The bytes are described in docs/formats/hint.md.
//
// Files in reading order: hint.go, codec.go, sender.go, tracker.go.
package hint
