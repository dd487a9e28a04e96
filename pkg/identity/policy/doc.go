// Package policy asks an auth policy server (weakforced, wforce) before and
// after a login, and reports each outcome to it. It is Dovecot's protocol: a
// JSON object by HTTP POST to URL?command=allow or URL?command=report.
//
// Invariants: a password never leaves, only a truncated digest of it with a
// secret nonce, which tells one password from another and no more; answers are
// read up to a limit; a server that does not answer in time decides nothing:
// by default the login goes on, since the server is a help and not the lock;
// reports are sent beside logins, in bounded number.
//
// Reading order: policy.go (Config, Client), digest.go.
package policy
