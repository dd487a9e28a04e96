// Package forward delivers mail to names that have aliases: what Postfix's
// local(8) does, without opening a mailbox or running a program. Mailboxes are
// the delivery agent's, programs and files a helper's; all other addresses get
// a new message in the queue.
//
// Invariants:
//   - A message that has been to a name before (Delivered-To) is returned, not
//     sent round again.
//   - The new message is durable before the recipient counts as delivered. If
//     one of several deliveries has to be repeated, all of them are: mail may
//     come twice, as with Postfix, and is never lost.
//   - A program is named by an alias, never by a recipient address.
//
// Reading order: forward.go.
package forward
