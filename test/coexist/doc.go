// Package coexist is the experiment behind the two store modes: our mail store
// and a Dovecot work on one Maildir at the same time, under a random load, and
// everything that either of them acknowledged is compared with what is on disk
// in the end.
//
// Duty: Run does a number of operations, half of them on our side (deliveries,
// appends, flag changes, expunges, subscriptions), half through Dovecot's IMAP,
// from several workers on each side. Our side is pkg/store/mailbox in this
// process, or an imapd that is asked by IMAP like Dovecot. It counts what must
// not happen: messages whose UID changes, UIDs that name two messages,
// acknowledged flags and subscriptions that are lost, messages that are lost or
// come back, anything that the two sides show differently; and it measures how
// long our store waited for dovecot-uidlist.lock.
//
// The sides work at the same time, or in turns. At the same time each flag of
// each message is changed by one side only, by one worker at a time, so that its
// last acknowledged value is known. In turns each side changes them all, and the
// sides are compared after each.
//
// Reading order: run.go, ledger.go, store.go, client.go, pop3.go, lockwait.go.
// test/interop runs it beside a private Dovecot; docs/decisions/0011 has the
// figures.
package coexist
