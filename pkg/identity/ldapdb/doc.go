// Package ldapdb asks LDAP directories for passwords and users.
//
// Duty: passdb by bind and by lookup, userdb, listing; connections with TLS,
// reuse, fail-over and time limits; Dovecot's dovecot-ldap.conf.ext.
//
// Invariants:
//   - A value from a request is escaped wherever it goes, and what it goes
//     into has the same shape for every value; else nothing is asked.
//   - An empty password or name never reaches a bind.
//   - "Not found" is the answer of a server that searched everything it was
//     asked to search. Two entries, a reference elsewhere, any other result
//     code, silence and garbage are outages.
//   - A request ends within connect_timeout and twice its own timeout,
//     whatever the server does, and waits for nobody else's.
//   - A server's answer is bounded and well-formed before it is parsed.
//   - Connections that users were bound on are not searched with.
//
// Reading order: config.go, servers.go (Servers), text.go (filters and DNs with
// variables), attrs.go (fields from entries), passdb.go, userdb.go,
// addresses.go, search.go, result.go (result codes), server.go (pool, retries),
// endpoint.go (fail-over), dial.go (TLS, bind), guard.go (what a server may
// send), dovecot.go.
package ldapdb
