// Package remote makes one delivery attempt: a message, a next hop and the
// recipients that share it, to one Outcome per recipient.
//
// It finds the hosts (MX, address, relay host, Unix socket), connects, speaks
// SMTP or LMTP through proto/smtp/client, and says of each recipient whether
// it was delivered, is worth another try, or failed for good, in the words
// Postfix uses.
//
// Invariants:
//   - Deliver returns exactly one Outcome per recipient, in order, whatever
//     happens; an unforeseen fault is Deferred, never Bounced and never lost.
//   - A failed DNS lookup defers; only an explicit "does not exist" bounces.
//   - The addresses and sessions that are tried have limits, MaxAddresses and
//     MaxSessions where the configuration has no others.
//   - Credentials go out only over TLS, or to this host.
//   - With level may, TLS trouble costs encryption, and at most one attempt;
//     with encrypt it costs the delivery, never encryption.
//   - A recipient the peer has answered 2xx for is never sent again by the
//     same attempt.
//
// Reading order: outcome.go (results and their texts), target.go and srv.go
// (which hosts), attempt.go (the loop over hosts), session.go (one connection),
// chunking.go (hosts whose BDAT is broken), cache.go (idle sessions kept for
// the next message).
package remote
