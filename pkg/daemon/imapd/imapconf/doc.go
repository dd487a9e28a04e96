// Package imapconf is the keys about IMAP itself in the configuration of
// imapd's two roles, and what the engines make of them. The names are
// Dovecot's where it has them.
package imapconf
