// Package disk is the only way to files for the queue and the store.
//
// Duty: one small file system interface, so that every durable format can be
// run on a real disk, on one that forgets what was not synced (Forgetful), and
// on one that fails (Faulty); and the few helpers whose details are easy to
// get wrong: atomic replacement, locks, space, and what a failed sync means.
//
// Invariants a caller may rely on, and must keep:
//   - Data is durable after File.Sync, a name (created, renamed, linked,
//     removed) only after SyncDir of its folder. Syncing a file does not make
//     its name durable.
//   - Rename is whole or not at all, also across a crash.
//   - File.Sync is fdatasync: set times (Chtimes) before it, not after.
//   - A failed Sync is final. The kernel may have dropped the pages, and a
//     second Sync would report success for data that is gone. Guard wraps a
//     file so that nobody can try.
//   - A Volume syncs a whole file system for many writers. Its failure
//     concerns all that was written before it, whoever asked for the sync: a
//     Visit that was under way is poisoned.
//   - ReadDir promises no order.
//
// Crash points are names such as "queue.commit.before_sync", announced with
// Point. OSWithCrash kills the process at one of them, Forgetful freezes
// there; elsewhere they cost a type assertion.
//
// Files in reading order: fs.go (interfaces), os.go, names.go, space.go, write.go,
// guard.go, volume.go, lock.go, dotlock.go (with package holder), faulty.go, forgetful.go, inode.go, crash.go.
package disk
