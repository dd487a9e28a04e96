// Package holder tells whose a lock file is, and whether that process lives.
//
// Duty: the text that a process writes into its lock files (Self), and the
// judgement of such a text, its own or Dovecot's (Of).
//
// Invariants:
//   - Dovecot reads our text as one of its own: process number and host, up to
//     the NUL octet. What follows is for us.
//   - Gone is said only of a process of which it is certain: the same machine,
//     the same space of process numbers, and no such process, or one that began
//     at another time.
//   - Lives is said of each process that may be the one: the unit files hide
//     processes of other users, and then the number alone has to do.
package holder
