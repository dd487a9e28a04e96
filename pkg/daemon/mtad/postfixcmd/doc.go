// Package postfixcmd is the commands of Postfix that other programs call, by
// their names: sendmail, mailq, newaliases, postqueue, postsuper, postcat,
// postlog, postconf and postfix. (postmap and postalias are package tablecmd's.) mtad is
// one of them when it is called by such a name.
//
// Options, output and exit codes are those of Postfix 3.7, since cron, PHP and
// monitoring read them; docs/mtad/sendmail.md has what differs.
//
// Invariants:
//   - sendmail exits 0 only when the message is durable, in the queue or in
//     the mail drop.
//   - None of the commands has more rights than who calls it: mtad knows the
//     caller by the uid of the socket's peer, or by the owner of a file.
//   - A message is streamed; only its header is held, up to a limit.
//
// Files in reading order: tool.go (names, settings, exit codes), getopt.go,
// sendmail.go (options), message.go (the message on standard input),
// recipients.go, submit.go (to mtad, or into the drop), queue.go (mailq,
// postqueue), postsuper.go, postcat.go, newaliases.go,
// postlog.go, postconf.go, postfix.go.
package postfixcmd
