// Package routing is the part of mtad's configuration that says where mail
// goes: domains and their classes, transports, relay hosts and the passwords
// for them.
//
// Invariants:
//   - What is checked here is what is built: Validate makes the same tables
//     as the running daemon, and opens nothing.
//   - A password is read from a table or a file when it is needed, and is in
//     no error and no explanation.
//
// Reading order: config.go (the keys), build.go (the routing table), passwords.go,
// mailboxes.go (names of local domains).
package routing
