// Package highwater keeps, in a mail folder itself, the little that must
// outlive the loss of its index: a number above all MODSEQs that were given
// out, and which messages are expunged although their files are still there.
//
// Invariants:
//   - The bound is on disk before a MODSEQ near it is given out.
//   - A UID is noted as expunged only after the expunge is durable in the
//     index. Notes are not synced: they outlive the process, not the machine.
//   - A UID that is noted was expunged, whenever the note was made: no message
//     has it again.
//
// The format is in docs/formats/index.md.
package highwater
