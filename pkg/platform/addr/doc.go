// Package addr is the one parsed form of a mail address.
//
// Policy, routing, relay checks and delivery all work on the same Address
// value, so that no two of them can disagree about what a string meant
// (reference: RFC 5321 section 4.1.2, RFC 6531 section 3.3). The local part
// is kept byte for byte, unquoted; the domain is lower case, without a
// trailing dot, in its U-label form when it has non-ASCII labels.
//
// Reading order: addr.go (the value), parse.go (the grammar).
package addr
