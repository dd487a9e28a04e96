// Package suite starts all Postcote processes from real binaries in a private
// folder, the way systemd would: it reads deploy/systemd/*.socket for the
// sockets, their owners and modes, opens them on BASE+port and below DIR/run,
// hands them over as inherited descriptors, and starts each process from its
// example configuration in deploy/config with the paths moved below DIR.
//
// So `make run`, the whole-suite tests, `make interop` and `make isolation`
// all run what deploy/ ships. Under root each process runs under its own user
// when those users exist.
//
// Reading order: suite.go (start, stop), units.go (the socket units),
// config.go (configurations, certificate, accounts), process.go (one process).
package suite
