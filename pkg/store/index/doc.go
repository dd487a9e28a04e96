// Package index keeps what we know of one mailbox: a record for each message,
// the keywords, the MODSEQ counter, and where in the cache its entry is. The files are
// described in docs/formats/index.md.
//
// In memory a mailbox is an Image: an immutable list of immutable chunks of at
// most 512 records. A change makes a new Image that shares all chunks but the
// ones it touches, so a session may keep an old one at no cost, and Diff of
// two Images looks only at chunks that differ. Chunks that are on disk can be
// dropped from memory (Evict) and come back when they are looked at.
//
// On disk it is a base (a whole Image) and a log of what happened since. Every
// change is a Batch of operations: written to the log as one frame, then
// applied. Opening applies the frames of the log to the base by the same code.
//
// Invariants:
//   - One writer, whose epoch is in every header. The caller holds the lock.
//   - Flags and keywords are logged as additions and removals, never as the
//     resulting set: they can be merged with what others did meanwhile.
//   - A MODSEQ that is given out lies below a bound that is on disk. After a
//     crash counting goes on at the bound, so none is ever given twice.
//   - A frame counts as a whole or not at all. An unfinished last frame is
//     what a crash leaves; anything else that does not check is damage: an
//     error of kind Corrupt (a *Damage, with file and offset).
//   - Files are read as if an enemy had written them: sizes, offsets and
//     counts are checked before use.
//   - The index can be lost. What then remains of it is read by Salvage.
//
// Files in reading order: record.go, names.go, tables.go, chunk.go, image.go,
// history.go, edit.go, batch.go, apply.go, frame.go, index.go, base.go (checkpoints),
// salvage.go, select.go.
package index
