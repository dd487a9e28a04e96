// Package wire is the byte level of SMTP and LMTP, for servers and clients
// (RFC 5321, RFC 2033, RFC 3030, RFC 2034).
//
// Duty: bytes in, values out. It reads command lines and replies under caps,
// parses verbs, parameters and xtext, reads message content that came by DATA
// or BDAT, and writes replies and dot-stuffed content. It knows no state, no
// policy and no network beyond an io.Reader.
//
// Invariants:
//   - The only end of data is CRLF "." CRLF. No other sequence of bytes ends
//     a message, whatever the policy for bare LF says (CVE-2023-51764).
//   - What a body reader returns has no CR and no LF that is not part of a
//     CRLF, and what DotWriter writes has none either.
//   - A line is read in the memory of one buffer, however long it is.
//   - Reading a line, a command or a body block allocates nothing.
//
// Files in reading order: reply.go (the value and its wire form),
// reader.go (the buffer and the line reader), readreply.go, command.go, xtext.go,
// body.go (the content filter), data.go, bdat.go, dotwriter.go.
package wire
