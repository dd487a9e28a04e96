// Package authserver is the answering side of Dovecot's two authentication
// protocols. It frames, checks and times requests; who a user is, an
// Authenticator and a Directory decide.
//
// Invariants: an outage is never told as a refusal (temp_fail to clients of
// minor version 1 or newer, a closed connection to Postfix and Exim, which
// would turn temp_fail into 535); one exchange can neither disturb nor delay
// another; a granted login is redeemed at most once, within its time, by whoever
// knows the cookie, or comes sealed and cannot be redeemed; nothing outlives its connection; of a client connection that
// is silent there is one goroutine with a small stack, and no buffer.
//
// Reading order: server.go (listener types, what each may do), backend.go
// (the interfaces), client.go (one client connection), request.go (AUTH
// parameters), lookup.go (USER's), exchange.go (one running exchange), step.go
// (its context; steps that run where their line was read), cont.go (responses,
// channel bindings), logins.go (granted logins waiting to be redeemed), master.go
// and master_cmds.go (the master and userdb protocol), token.go, conn.go and
// output.go (what both have).
package authserver
