// Package usercmd is the part of authd's command line that works on its users:
// the verbs user, domain, alias, app-password and store.
//
// The verbs of user work on the users store (package localdb) or on a
// passwd-file, whichever the configuration names; the others need the store.
// None needs a running daemon, and one that runs sees each change at its next
// request.
//
// Invariants: a password is never an argument and never printed, but for an app
// password when it is made; what a command has acknowledged is on the disk;
// lists are tables, or one JSON object a line with --json.
//
// Reading order: host.go (what the commands work on), users.go (a users
// database of either kind), file.go and store.go (the two kinds), output.go,
// then one file for each verb.
package usercmd
