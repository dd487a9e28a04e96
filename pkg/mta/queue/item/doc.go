// Package item holds the values that the queue is about: ids, envelopes and
// the state of each recipient, and their encoded forms.
//
// Nothing here touches a file or a clock. What is encoded is described byte
// by byte in docs/formats/queue.md.
//
// Invariants:
//   - An encoder's output decodes to an equal value; a decoder never panics
//     and never allocates more than a small multiple of its input.
//   - Fields carry tags, and unknown tags are skipped, so that an older
//     program can read what a newer one wrote.
//
// Reading order: id.go, envelope.go (what was said at submission), state.go
// (what became of each recipient), wire.go (tagged fields), encode.go
// (envelope), pack.go (the compact form kept in memory and in checkpoints).
package item
