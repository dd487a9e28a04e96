// Package srs rewrites the senders of forwarded mail (Sender Rewriting Scheme),
// so that SPF at the next host sees a domain of ours, and turns the addresses
// back when a bounce comes.
//
// SRS0=HASH=TT=domain=local@ours stands for local@domain; a sender that has
// been rewritten elsewhere becomes SRS1=HASH=host=REST@ours, which leads back
// to that host and no further. Hashes are those of postsrsd (HMAC-SHA1 over
// the lower-case parts, base64), so that a key can be taken over.
//
// Invariants:
//   - An address leads back only if its hash is ours and its time stamp is not
//     too old: nobody else can make an address that we forward.
//   - Hashes are compared in constant time.
//
// Reading order: srs.go.
package srs
