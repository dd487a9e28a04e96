// Package localmail is what mtad has for programs on its own host beyond SMTP:
// who of them may submit how much under which sender, who may look at the
// queue, and the mail drop that is emptied when mtad is back.
//
// Invariants:
//   - A user is known by the uid that the kernel tells, of a socket's peer or
//     of a file's owner, and by nothing it says.
//   - Limits are per uid; the daemon's own user, root and the users of
//     submit.exempt_users have none.
//   - A file of the drop is removed only after the queue has its message.
//
// Files in reading order: config.go, users.go (lists of users), policy.go
// (limits and senders), pickup.go (the drop).
package localmail
