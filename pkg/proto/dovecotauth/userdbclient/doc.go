// Package userdbclient is the asking side of Dovecot's master and userdb
// protocol: who is this user, does it exist, redeem this login. It works
// against authd's auth-userdb, auth-exists and auth-master sockets and against
// a real Dovecot's.
//
// Invariants: as package authclient. "No such user" is fail.NotFound and comes
// only from an explicit answer; every doubt is fail.Unavailable.
//
// Reading order: client.go, seal.go (logins that need not be redeemed), record.go,
// list.go.
package userdbclient
