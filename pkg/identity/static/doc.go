// Package static is Dovecot's static driver: the same answer for everybody,
// with variables. As a password database it is for proxies (nopassword with
// proxy, host, …) and master passwords; as a user database for virtual users
// whose homes follow a pattern.
//
// Invariants: a user database that accepts every name would let mail for
// mistyped addresses in, so a static one asks whether the user exists, unless
// allow_all_users says that somebody else has checked.
//
// Reading order: static.go.
package static
