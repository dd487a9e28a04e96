// Package maildir reads and writes Maildir++ trees byte for byte as Dovecot
// does: file names, dovecot-uidlist, dovecot-keywords, subscriptions,
// dovecot-uidvalidity, folder names. The formats are in docs/formats/maildir.md.
//
// Duty: one folder's files and their names on disk, and safe delivery. It
// knows nothing of indexes, modseqs or sessions. deliverd links this package
// only; it delivers and never writes a UID list. imapd's session role, which
// owns the account, does the rest.
//
// Invariants:
//   - The base name of a message (all before ":") is its identity and never
//     changes; flags are changed by rename(2) only.
//   - A message file is complete, synced and carries its INTERNALDATE as mtime
//     before it has a name in new/ or cur/.
//   - UIDs are given out under dovecot-uidlist.lock and are durable before
//     anybody learns them. They only grow.
//   - What we do not understand is kept: flag letters, text after the flags,
//     keys of the UID list.
//   - No mailbox name leads out of the root: parts are checked, symbolic links
//     are not followed. Nothing is ever chmod'ed (it would clear setgid).
//
// Files in reading order: name.go, mutf7.go, folder.go, layout.go, tree.go,
// deliver.go, uidlist.go, keywords.go, subscriptions.go, uidvalidity.go,
// scan.go, watch.go.
package maildir
