// Package tlsx keeps certificates current and says how TLS is spoken.
//
// Duty: certificates that replace themselves when their files change, one
// server configuration per listener, the names in client certificates, client configurations for mail between
// servers, channel bindings, and words for logs and trace headers.
//
// Invariants:
//   - TLS 1.2 is the oldest version, on both sides.
//   - A replacement that cannot be used never displaces a pair that works; it
//     is reported once.
//   - Each listener has session ticket keys of its own, rotated by crypto/tls.
//   - Opportunistic does not verify, and therefore never reports "verified"
//     unless Look proved it afterwards.
//   - A client's certificate counts only after Client has verified it; one
//     that does not never costs the client its connection.
//
// Files in reading order: config.go, keeper.go, pair.go, clientca.go,
// client.go, binding.go, describe.go, selfsigned.go.
package tlsx
