// Package imapd is the daemon that serves mail by IMAP and POP3, in two roles
// that run as separate processes under separate users: package login faces
// the network, package session holds the mail. The key `role` at the top of
// the configuration picks one.
//
// Files: app.go.
package imapd
