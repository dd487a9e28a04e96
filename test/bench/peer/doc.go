// Package peer starts the servers that a benchmark compares, each from a
// configuration of its own in a private folder, on loopback ports or Unix
// sockets, and reads the CPU time and the memory of their process trees.
//
// A peer is set up as a careful operator would who wants throughput and keeps
// durability; ours are what deploy/ ships, with the least changes that make the
// work the same (who the users are, no limits for one client's address).
//
// Files in reading order: server.go (a running server, its CPU and memory),
// process.go (starting one), mail.go (users and mailboxes), dovecot.go,
// postfix.go, ours.go.
package peer
