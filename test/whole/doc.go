// Package whole tests the suite as a whole: real binaries, real sockets, no
// root, no network.
//
// Reading order: setup_test.go, walk_test.go (one message from SMTP to IMAP
// and POP3), down_test.go (a process is away), kill_test.go (kill -9 under
// load), crash_test.go and those beside it (kill -9 at many random moments;
// CRASH_MOMENTS=1000 is a long run), soak_test.go (nothing is left behind;
// SOAK_MESSAGES=100000), enumeration_test.go (what a refused login tells),
// deploy_test.go (units, examples, docs).
package whole
