// Package helper is how authd has done what it must not do itself: PAM and
// NSS (foreign code in the process), reading /etc/shadow, running a
// checkpassword program. Each is a small program in a unit of its own, one
// process a request, started by a socket unit with Accept=yes; authd is its
// client. The protocol is one line each way over a Unix socket, in the
// encoding of Dovecot's auth protocol:
//
//	AUTH <service> <user> <password> [rip=…] [lip=…] [session=…]
//	USER <user>
//
//	OK <user> [<key>=<value>]…
//	FAIL mismatch|unknown|disabled|expired
//	TEMP <text>
//
// Invariants: whatever is not OK or FAIL (an end of the stream, a time-out, an
// unknown word) is an outage; a request is cut off when its time is up; at
// most so many run at a time, others wait.
//
// Reading order: client.go (authd's side), driver.go (the password and user
// database on it), serve.go (the programs' side), shadow.go.
package helper
