// Package userdb says what belongs to a user: ids, home and further fields;
// and which domains are ours.
//
// Invariants: "not found" comes only from a database that was read; variables
// in a template are expanded once, values are never looked at again; an
// expanded home is absolute and never leads upwards; nobody is uid or gid 0.
//
// Reading order: userdb.go (DB, Record, Chain), template.go (variables),
// file.go (passwd-file with defaults), domains.go, addresses.go (aliases and
// senders).
package userdb
