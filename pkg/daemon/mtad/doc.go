// Package mtad is the mail transfer agent: it joins the SMTP engine to the
// gate (who may send what), the queue, and the delivery of what is queued.
//
// It takes mail on network listeners of two roles (mx, submission) and on a
// Unix socket for local programs; logins and the question whether a mailbox
// exists are asked of authd; mail for mailboxes goes to the delivery agent by
// LMTP, all other mail to its MX or a relay host.
//
// Invariants:
//   - 250 after a message means that the queue has synced it.
//   - authd away is 454 or 451, a full disk 452; neither is ever a rejection.
//   - A recipient is judged and delivered by the same parsed address.
//   - SIGHUP replaces what sessions and deliveries to come go by (state); a
//     session keeps the state it began with.
//   - SIGTERM: listeners close, idle sessions hear 421, transactions end and
//     are queued, deliveries end or are deferred, the queue is closed last.
//
// Reading order: app.go, config.go, validate.go, run.go (start and stop),
// state.go (what a configuration means), listener.go, session.go, message.go
// (from DATA to 250), authd.go (logins; which recipients exist, and for how
// long that is remembered), deliver.go (from the queue to the next hop),
// recovery.go (a delivery agent that was away), events_smtpd.go and
// events_delivery.go (the log), metrics.go. Package queuecmd has the operator's
// commands for the queue.
package mtad
