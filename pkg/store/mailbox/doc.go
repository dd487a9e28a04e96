// Package mailbox is what a mailbox is: an account's folders, the one shared
// state of each open folder, the immutable views that sessions pin, and the
// operations on messages.
//
// Reading order for users of the package: Store (one per process) opens an
// Account (one per user, shared by all sessions of that user), which opens
// Mailbox handles (one per session and folder). A handle gives a Snapshot;
// Diff of two snapshots is all a session has to tell its client.
//
// Invariants:
//   - One writer: an Account holds an open file description lock, and what it
//     writes carries its epoch. A second opener gets fail.Exists.
//   - A Snapshot never changes. Two snapshots share the chunks in which they
//     do not differ.
//   - A UID is in the UID list on disk before a Snapshot shows it, a MODSEQ
//     lies in a durably reserved block, an acknowledged flag is in the log
//     (exclusive mode) or in the file name (shared mode).
//   - UIDs and MODSEQs never go backwards and no UID names two messages.
//   - Doubt about what is on disk means looking again.
//
// Files in reading order: format.go, snapshot.go, store.go, account.go,
// folders.go, mailbox.go, box.go, sync.go, change.go, append.go, flush.go,
// read.go, rebuild.go, fmaildir.go (the one Format there is). What an account
// tells of all its folders is in package feed.
package mailbox
