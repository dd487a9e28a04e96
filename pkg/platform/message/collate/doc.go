// Package collate compares texts as IMAP's SEARCH, SORT and THREAD do: by the
// collation i;unicode-casemap (RFC 5051), which RFC 5255 section 4 makes the
// one of I18NLEVEL=1.
//
// Invariants:
//
//   - Every function is total, works in one pass and keeps no state: a text may
//     be mapped in pieces, cut between characters.
//   - Texts are equal, ordered, and contain each other, when their mapped
//     forms do as octets (RFC 5051 section 2).
//   - The mapped form of valid UTF-8 is valid UTF-8 and is mapped to itself
//     (but for a few characters whose lower and upper case are not a pair, as
//     Unicode has it).
//
// All is in casemap.go.
package collate
