// Package dnstest is a small name server for tests: it serves the records of
// a zone text on a loopback port, over UDP and TCP.
//
// It answers like a recursive resolver that knows everything: what is not in
// the zone does not exist. It is not fit for any other use.
//
// Files in reading order: server.go.
package dnstest
