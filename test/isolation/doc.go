// Package isolation starts the suite under its own users, as root, and proves
// by trying that no process can reach what docs/architecture.md says it never
// holds. Build tag: isolation; `make isolation` runs it.
//
// Reading order: setup_test.go, process_test.go (who runs), files_test.go
// (what they can read), sockets_test.go (whom they can talk to).
package isolation
