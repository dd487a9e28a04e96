// Package order has the rules of RFC 5256 that need nothing of a mailbox: what
// a subject is without its "Re:", what a message id is, and how messages are
// put into threads.
//
// Invariants:
//
//   - Every function is total: whatever stands in a header gives an answer.
//   - Work is linear in the input, but for sorting and a logarithm where links
//     are tested for loops. Nothing recurses: a thread may be as deep as there
//     are messages. Memory is a bounded number of bytes for each message.
//   - Every message is in the answer exactly once, and the answer depends on
//     the messages and their order alone.
//
// Reading order: subject.go, msgid.go, thread.go (what is put in), links.go
// (who replies to whom, step 1 of REFERENCES), loops.go (the test for loops),
// grove.go (steps 2 to 6, and the other algorithms), forest.go (the answer).
package order
