// Package maildrop is an INBOX as POP3 sees it: the messages of one moment,
// counted from 0, with unique ids that are Dovecot's byte by byte, so that no
// client downloads again after a change of server.
//
// Invariants: the messages and their order do not change while a session
// lasts; a unique id is the one kept in the UID list, else the X-UIDL header
// where that is wished, else by the format; nothing is held per message but
// where settings ask for it.
//
// Files in reading order: config.go, maildrop.go, lock.go (one session at a
// time).
package maildrop
