// Package dnsx asks the questions that mail asks of DNS.
//
// Duty: MX, SRV, addresses, PTR and TXT with errors that tell "there is none" from
// "nobody knows": the first decides about a bounce, the second never may.
//
// Invariants:
//   - kind NotFound means a name server said so (NXDOMAIN or no data).
//     Everything else that yields no answer is kind Temporary.
//   - Names go out as given, as A-labels and without a search list.
//   - At most 100 records of an answer are used, in MX order.
//   - Answers are hints from strangers: names in them are syntax-checked
//     before they are returned.
//
// The sub-package dnstest serves a zone on loopback for whole-suite tests.
//
// Files in reading order: dnsx.go (questions and answers), errors.go,
// resolver.go, exchange.go, answer.go, cache.go, static.go, resolvconf.go.
package dnsx
