// Command bench measures our daemons beside the programs that they replace, in
// one run, on the same machine, with the same work, and prints the ratios.
// `make bench` runs it after the Go benchmarks.
//
// A suite is one file, suite_NAME.go: a Suite whose Start makes the targets (the
// peer first, ours last) in a private folder, and whose scenarios are run
// against each target in turn, A B A B, and reduced to medians. A peer that is
// not installed is left out. CPU per operation is the figure to compare: it is
// the server's process tree alone, and other work on the machine hardly changes
// its ratio.
//
// Reading order: main.go, suite.go (what a suite is, repetitions), report.go
// (figures, ratios, goals), world.go (two mail servers with the same users),
// then the suites. What they share: package peer starts servers and reads their
// CPU and memory, package load is the clients.
package main
