// Package takeover makes an existing Maildir tree, usually Dovecot's, one that
// imapd and deliverd can share: directories 2770, files 0660, one group. It
// also tells what it cannot change and what an operator should know: formats,
// MODSEQs, who still holds a lock.
//
// Invariants:
//   - Nothing is followed: a symbolic link is reported and left alone, and all
//     work goes through one os.Root, so that a user who can write to the tree
//     cannot lead it elsewhere while it runs as root.
//   - A file that belongs to neither the tree's owner nor the new one nor a
//     daemon is left alone: it may be a hard link to something else.
//   - Names, contents and times stay as they are.
//   - A check changes nothing.
//
// Files in reading order: takeover.go (what is done), walk.go (the tree),
// formats.go (what is told).
package takeover
