// Package verify remembers which addresses take mail. Somebody else finds out,
// by a probe: everything up to RCPT of a delivery, and no message. It is
// Postfix's verify(8).
//
// Invariants:
//   - One probe at a time runs for an address, and no more than Config.Probes
//     in all; who asks never waits longer than Config.Wait.
//   - An address that was found good stays so until that is too old, whatever
//     a later probe says: an outage turns nobody away.
//   - The number of addresses is capped. Losing the file loses nothing but time.
//
// Reading order: answer.go, service.go, file.go (see docs/formats/verify.md).
package verify
