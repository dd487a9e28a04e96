// Package message reads Internet messages (RFC 5322) and their MIME structure
// (RFC 2045, 2046) as they are found, not as they should be.
//
// Duty: header blocks with offsets, the part tree of a message, ENVELOPE and
// BODYSTRUCTURE as IMAP wire bytes, body sections, and decoding to UTF-8 for
// search. Nothing here writes a message, except AppendField.
//
// Invariants:
//   - Any byte string is a message. Only the reader given to us returns errors.
//   - Work and memory are linear in the input and capped by Limits; what lies
//     beyond a cap is left unparsed, never refused (RFC 7103; the caps are
//     those Dovecot took after CVE-2020-12100 and CVE-2024-23185).
//   - Offsets count bytes of the message as stored, which may end its lines in
//     LF, CRLF or a mixture. Sizes called virtual count every line end as
//     CRLF, as IMAP and POP3 do.
//   - The parts of a multipart tile it: no byte belongs to two siblings, and
//     each part lies inside its parent.
//
// Files in reading order: header.go, part.go, source.go, parse.go,
// params.go, address.go, envelope.go, bodystructure.go, wire.go, crlf.go,
// section.go, decode.go, text.go, date.go.
package message
