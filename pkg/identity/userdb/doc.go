// Package userdb says what belongs to a user: ids, home and further fields;
// and which domains are ours. It asks a chain of user databases with Dovecot's
// rules.
//
// Invariants: "not found" comes only from databases that were asked; what one
// said that then failed leaves no trace in the request; variables in a template
// are expanded once, values are never looked at again; a home that is expanded
// is absolute and never leads upwards; nobody is uid or gid 0.
//
// Reading order: userdb.go (Record, Defaults), driver.go (what databases are),
// entry.go (Entry, Chain), chain.go (the rules), template.go (homes),
// fields.go, file.go (passwd-file), domains.go, addresses.go (aliases and
// senders).
package userdb
