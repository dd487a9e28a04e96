// Package queuecmd is `mtad queue`: the operator's view of the queue, as
// commands and as the control verbs behind them.
//
// Every command but check asks the running daemon; check reads the files while
// no daemon does. The list looks like Postfix's mailq, its JSON like
// `postqueue -j`, because programs read both.
//
// Files in reading order: verbs.go (the daemon's side), wire.go (what goes
// over the socket), command.go (the tree of commands), cmd_list.go and mailq.go,
// cmd_show.go, cmd_change.go, cmd_pause.go,
// top.go and cmd_top.go, cmd_check.go.
package queuecmd
