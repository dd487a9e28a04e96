// Package authclient is the asking side of Dovecot's authentication client
// protocol: it relays a SASL exchange to authd (or a real Dovecot, 2.3 and 2.4
// alike) and reports the verdict.
//
// Invariants: one connection, re-made by itself; any number of exchanges at
// the same time; an outage is fail.Unavailable and never fail.Denied; memory
// is bounded whatever the peer sends. Secrets pass through and are not kept.
//
//	c := authclient.New(authclient.Config{Address: "/run/postcote-authd/auth-client"})
//	x, step, err := c.Start(ctx, authclient.Request{Mech: "PLAIN", Service: "smtp", Initial: ir})
//	for err == nil && !step.Done {
//		step, err = x.Next(ctx, ask(step.Challenge)) // x.Cancel() when the peer gives up
//	}
//	// err == nil: step.Result.User is logged in. fail.Denied: see AsFailure.
//
// Reading order: client.go, request.go, exchange.go, handshake.go.
package authclient
