// Package spool keeps messages in files and in a small index in memory. It
// knows nothing of destinations or retry times: that is package queue.
//
// A message is one record in a segment: envelope, added headers and, up to
// Config.Large bytes, the received body; a larger body has a file of its own.
// Many submitters share one fdatasync (the first that comes leads a group,
// the others wait). What changes afterwards, recipient by recipient, goes to a
// state log that is replaced by a checkpoint when it has grown. The bytes are
// in package format and docs/formats/queue.md.
//
// Invariants:
//   - Writer.Commit returns nil only after the record is durable. If a write
//     or sync fails, the whole group fails, the segment is never written or
//     synced again, and a record in the state log says from where on it does
//     not count; the group's submitters hear of the failure after that record
//     is durable, and while it cannot be made durable nothing more is taken.
//   - A segment is used again only after the removal of each of its messages
//     is durable; the same holds for files of large bodies.
//   - The state log may lose its unsynced end (repeated deliveries), never
//     the beginning; messages whose log record was lost are found again in
//     the segments that are not sealed.
//   - Locks nest in this order: checkpoint, log file, index (Spool.mu), log
//     buffer. No file is touched with the index locked.
//
// Crash points (disk.Point), in the order of a message's life:
//
//	queue.body.written        large body written to its own file, not synced
//	queue.body.before_sync    about to sync it
//	queue.body.after_sync     synced
//	queue.envelope.written    a group's records written, not synced
//	queue.envelope.before_sync
//	queue.envelope.after_sync the group is durable, nobody knows yet
//	queue.commit.indexed      the group is in the index, submitters not told
//	queue.recipient.done      results of an attempt written, not synced
//	queue.state.before_sync   about to sync the state log
//	queue.state.after_sync
//	queue.abort.recorded      a failed group is marked as such
//	queue.segment.created     a new segment file has its name
//	queue.segment.sealed
//	queue.segment.recycled    a free segment has its new header, not synced
//	queue.segment.removed     a superfluous segment was deleted
//	queue.compact.copied      copies of live messages are durable
//	queue.compact.recorded    and the state log says so
//	queue.log.created         a new state log exists
//	queue.checkpoint.written  a checkpoint is complete under its temporary name
//	queue.checkpoint.renamed  and under its own, not yet durable
//	queue.checkpoint.done     older logs are about to go
//
// Files in reading order: config.go, index.go and table.go (what is in memory),
// statelog.go and checkpoint.go, segment.go, commit.go (the group commit),
// writer.go, content.go (reading a message), reclaim.go (space given back),
// load.go and replay.go (reading a directory), open.go (recovery), check.go.
package spool
