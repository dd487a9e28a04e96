// Package sevenbit makes a message of 8-bit text one that a host without
// 8BITMIME (RFC 6152) can take: parts labelled 8bit or binary become
// quoted-printable, and the multiparts around them 7bit, as in Postfix's
// smtp(8).
//
// Invariants:
//   - What is labelled 7bit, quoted-printable or base64, or not at all, stays as
//     it is, byte for byte; so do header fields other than the label.
//   - Memory does not grow with the message: lines are converted as they come.
//   - A message that cannot be converted ends with an error of kind
//     fail.Permanent, before its last byte.
//   - Signatures over converted parts break; the alternative is not to deliver.
//
// Reading order: reader.go (parts), quoted.go (the encoding).
package sevenbit
