// Package rewrite changes addresses on their way through the mail system, in
// the order and by the tables that Postfix's ADDRESS_REWRITING_README gives:
//
//	complete -> canonical -> masquerade -> blind copies -> virtual aliases
//
// on the way in, and generic on the way out. It computes; what it needs to
// know it asks the tables that it was given, and nothing else.
//
// Invariants:
//   - A table that cannot be asked is an error (fail.Unavailable): an address
//     is never taken as it stands because a lookup failed.
//   - Expansion ends: the number of results, the depth, and the length of an
//     address are capped, and an address that leads to itself is final.
//   - What comes out of a table is parsed like what came over the network;
//     a result that is no address is an error that names table and key.
//   - Nothing is rewritten in a header that could not be read without doubt.
//
// Sub-packages: aliases (files in aliases(5) form), srs (senders of forwarded
// mail).
//
// Reading order: rewrite.go (what it is made from), complete.go, canonical.go
// (canonical, masquerade, generic), virtual.go, copies.go, list.go (address
// lists), header.go.
package rewrite
