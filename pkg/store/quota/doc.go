// Package quota says how much mail an account may hold, and how much it does
// hold: in the file maildirsize at the root of a Maildir, which deliverd,
// imapd, Dovecot (quota = maildir) and Courier share. The format is in
// docs/formats/maildirsize.md, the rules are Dovecot's quota_rule.
//
// Invariants:
//   - The mail files are the truth and maildirsize is an estimate of them: it
//     may be deleted, it is never synced, and it is counted anew when it is
//     long, when it is old and says that the account is full, or when its
//     limits are others than the account's.
//   - A file that cannot be read or does not parse is counted anew, never
//     taken for an empty account.
//   - Nothing is measured where nothing is limited.
//   - An Over error is of kind fail.Full. An account whose usage cannot be
//     found out is a temporary failure, never a full one.
//   - Nobody who stores or removes mail waits for a warning or hears of its
//     failure.
//
// Files in reading order: rule.go (limits), config.go, file.go (maildirsize),
// meter.go (one account), count.go (all mail anew), warning.go (limits that are
// passed), warner.go (who hears of it).
package quota
