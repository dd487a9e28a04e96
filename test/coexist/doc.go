// Package coexist is the experiment behind the two store modes: our mail store
// and a Dovecot work on one Maildir at the same time, under a random load, and
// everything that either of them acknowledged is compared with what is on disk
// in the end.
//
// Duty: Run does a number of operations, half of them through pkg/store/mailbox
// (deliveries, appends, flag changes, expunges), half through Dovecot's IMAP,
// from several workers on each side. It counts what must not happen: messages
// whose UID changes, UIDs that name two messages, acknowledged flags that are
// lost, messages that are lost or come back; and it measures how long our side
// waited for dovecot-uidlist.lock.
//
// Each flag of each message is changed by one side only, by one worker at a
// time, so that its last acknowledged value is known.
//
// Reading order: run.go, ledger.go, ours.go, theirs.go, lockwait.go.
// test/interop runs it beside a private Dovecot; docs/decisions/0011 has the
// figures.
package coexist
