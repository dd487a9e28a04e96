// Package inotify tells of files that come to folders, go, or get other names.
//
// Duty: the kernel's inotify, for the few events that matter to a Maildir. Of
// the others (a file is written, linked, gets other times) there may be several
// for each of ours, and each would wake us.
//
// Invariants:
//   - One goroutine waits (Run); the rest may be called by anybody. Whoever reads
//     (Run, Drain) has told of it before another does.
//   - A folder that is watched under several names is told of under each.
//   - Events can be lost (Run says when); they are never told twice.
package inotify
