// Package rewriting is the part of mtad's configuration that says what
// addresses become: the section `rewrite`, with aliases and SRS.
//
// Invariants:
//   - The running daemon, `check` and `explain` build the same Rewriter.
//   - Recipients are taken whole: if one cannot be looked up, the message is
//     not accepted.
//   - Only mail of this site's own clients has its header rewritten.
//
// Reading order: config.go (the keys), build.go, envelope.go (senders and
// recipients of one message).
package rewriting
