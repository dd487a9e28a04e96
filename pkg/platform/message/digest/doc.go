// Package digest is what is worth knowing of a message without reading it
// again: the keys that SORT and THREAD compare (RFC 5256, RFC 5957) and the
// text that PREVIEW shows (RFC 8970).
//
// Invariants:
//   - Any byte string is a message, as in package message. Nothing here fails
//     but the reader that it is given.
//   - Every value has a cap: a key of a hostile message costs no more than a
//     few hundred bytes, and the work for it is linear.
//   - Strings of Keys are collated: two are the same to a client exactly when
//     their bytes are.
//
// Files in reading order: keys.go, subject.go, msgid.go, ids.go, collate.go,
// preview.go, html.go.
package digest
