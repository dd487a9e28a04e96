// Package ldaptable is Postfix's table ldap, described by the file that Postfix
// has for it (ldap_table(5)).
//
// Invariants:
//   - Parts of a key are escaped where they go, in filters and in names.
//   - "Not found" is the answer of a server that searched everything it was
//     asked to search; a reference to another server, a limit of the server's
//     and any other result are outages.
//   - A lookup ends within `timeout`, and after maxSearches searches.
//   - What a server sends is bounded before it is parsed (package ldapwire).
//
// Reading order: config.go (the file), table.go (Open), expand.go (attributes
// and what they refer to), client.go (connections).
package ldaptable
