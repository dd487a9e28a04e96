// Package control is the line protocol between an operator's command and a
// running daemon, over a Unix socket.
//
//	C: STATUS\n                      a verb, upper-case letters, digits, - and _
//	C: QUEUE-HOLD ["4bX","4bY"]\n    or with arguments: one JSON array of strings
//	S: {"held":2}\n                  zero or more JSON values, one per line,
//	S: \n                            ended by an empty line
//	S: {"error":"no such id","kind":"not found"}\n   the last line of a failed
//	S: \n                                            answer; kinds from package fail
//
// Many requests may follow each other on one connection; they are answered in
// order. HELP lists the verbs that the peer may use.
//
// Invariants: the peer is known by SO_PEERCRED and by nothing it says; a verb
// of the class Admin runs for uid 0, the daemon's own uid and members of the
// admin group only, a verb of the class Status for whoever can connect; a
// request line is at most 64 KiB, and there are caps on time and connections.
//
// Reading order: verb.go (the table), request.go (the grammar), server.go,
// peer.go (who is there), client.go.
package control
