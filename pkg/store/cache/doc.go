// Package cache keeps of each message of a mailbox what clients ask for again
// and again, so that no mail file need be opened for it. Its two files are
// described in docs/formats/index.md.
//
// The file of entries holds, message by message, what FETCH shows: ENVELOPE
// and BODYSTRUCTURE as wire bytes, the places of the parts, the header fields
// that matter, a preview. The mailbox's index says where an entry is.
//
// The file of columns holds what SEARCH, SORT and THREAD compare, a thousand
// messages a block and each kind of value by itself, so that a search reads
// only what it compares, in large pieces.
//
// Invariants:
//   - What is in the files can be lost at any time and is never synced: all of
//     it comes from the messages, whose text never changes. What does not
//     check is not there, and is made again.
//   - Files are read as if an enemy had written them: sizes, offsets and
//     counts are checked before use. A wrong value may mislead a search; it
//     cannot do more.
//   - A message is known by its UID. The files are begun anew when the
//     mailbox's UIDs are (Reset).
//   - Memory is bounded whatever the mailbox holds: some hundred bytes a block,
//     and rows that are not in a block yet, at most a block's worth.
//
// Files in reading order: entry.go (what an entry says), parts.go, fields.go,
// entries.go (its file), row.go (what the columns say of a message), block.go,
// columns.go (their file), query.go and needle.go (searching it), make.go (reading a
// message), ahead.go (reading many, in order), cache.go (all of it together),
// fill.go (in the background).
package cache
