// Package namespace puts a prefix before the names of folders, as clients know
// them from a server that had one: "INBOX.Sent" for the folder Sent with
// Courier, and with a Dovecot whose inbox namespace has prefix = INBOX.
//
// INBOX has its own name only. What lies on disk, what is subscribed to, the
// configuration and the commands of the operator know no prefix.
package namespace
