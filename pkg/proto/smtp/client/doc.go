// Package client speaks SMTP and LMTP to one server over a connection that
// the caller made.
//
// Duty: greeting, EHLO with fall back to HELO, LHLO, STARTTLS, AUTH, and
// transactions that cost two round trips where the server pipelines. It picks
// no servers, keeps no queue and retries nothing.
//
// Invariants:
//   - Every recipient of a transaction ends with a Result, or the transaction
//     ends with a SiteError that stands for those that have none.
//   - A message is never completed (no final dot, no BDAT LAST) unless its
//     content was read to its end. It goes out only when some recipient was
//     accepted, but for a small chunk that is pipelined behind the recipients:
//     a server drops that where it accepted none (RFC 3030 section 4.2).
//   - Nothing the server said before STARTTLS is believed after it.
//   - What a server can make us store or wait for is bounded.
//
// Files in reading order: config.go, result.go, conn.go, hello.go, starttls.go,
// auth.go, envelope.go, send.go, content.go, chunks.go.
package client
