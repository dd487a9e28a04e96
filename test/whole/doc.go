// Package whole tests the suite as a whole: real binaries, real sockets, no
// root, no network.
//
// Reading order: setup_test.go, walk_test.go (one message from SMTP to IMAP
// and POP3), down_test.go (a process is away), kill_test.go (kill -9 under
// load), enumeration_test.go (what a refused login tells), deploy_test.go
// (units, examples, docs).
package whole
