// Package tlspolicy is what a delivery demands of TLS: Postfix's levels, the
// values of its smtp_tls_policy_maps, and the judgement of a certificate.
//
// Invariants:
//   - A value that is not understood, and a table that cannot be asked, delay
//     the mail; they never lower the level.
//   - At the levels fingerprint, verify and secure no connection counts, new or
//     resumed, whose certificate was not judged by the policy of this delivery.
//   - Names are matched as RFC 6125 says, by the certificate's DNS names.
//
// The levels dane and dane-only are not here yet: a table that asks for them
// delays the mail.
//
// Files in reading order: level.go, policy.go (a policy and its text form),
// lookup.go (the keys of a table), judge.go (certificates).
package tlspolicy
