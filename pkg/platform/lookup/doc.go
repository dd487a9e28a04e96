// Package lookup answers keys with values from tables of Postfix's kinds,
// which are named "type:name" as Postfix names them.
//
// Invariants:
//   - A table that cannot be asked is an error, never "not there".
//   - A value is not empty; one that comes out empty is an error.
//   - Keys are matched as Postfix matches them: without regard to case in
//     tables of fixed keys, as they are in tables of patterns.
//   - Nothing here speaks a network protocol: types that do are handed to
//     Open by whoever links them (Options.Drivers).
//   - Tables in tables end at a depth; text has caps (package text).
//
// Reading order: table.go (Table), spec.go (names), open.go (Open), maps.go
// (several tables as one), address.go (the keys of an address), fold.go,
// textfile.go (texthash and what is built from text), inline.go, fixed.go
// (static, fail, environ, randmap), compose.go (unionmap, pipemap), passwd.go,
// patterns.go (regexp, pcre, cidr; package pattern has the rules). What is read
// from text goes through package text.
package lookup
