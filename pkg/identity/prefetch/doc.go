// Package prefetch is Dovecot's prefetch user database: it answers with the
// userdb_ fields that the password database gave at the login, so that one
// query serves both. In a lookup without a login (LMTP) there are none, and
// the next database of the chain is asked.
//
// Reading order: prefetch.go.
package prefetch
