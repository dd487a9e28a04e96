// Package localdb is authd's own user store: domains, users, aliases and app
// passwords in one SQLite file. docs/formats/users-db.md is the reference of
// the file, docs/authd/local.md of its use.
//
// Invariants: a file that cannot be read, is no store of ours, or holds no user
// and no domain at all is an outage for everybody, never "no such user"; what a
// method has acknowledged survives a crash; nothing is kept in memory between
// two requests, so that a change by another process, or a file that was
// replaced, counts at the next one; there is one writer at a time, across
// processes; an app password is shown once and kept as a digest.
//
// Reading order: config.go, schema.go (the tables, upgrades), create.go (a new
// file and its owner), conn.go (one connection), pool.go (connections of one
// file, replaced files), store.go (Open, transactions), trouble.go (what
// SQLite's errors mean), then by subject: drivers.go (passdb and userdb),
// users.go, domains.go, aliases.go, apppassword.go (what one looks like),
// apppasswords.go (whose they are), lastuse.go, upkeep.go (check, backup,
// restore).
package localdb
