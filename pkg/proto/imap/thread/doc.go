// Package thread puts messages into threads (RFC 5256 section 3).
//
// Invariants:
//
//   - Every function is total: whatever messages say of each other gives an
//     answer.
//   - Work is linear in messages and references, but for sorting and a
//     logarithm where links are tested for loops. Nothing recurses: a thread
//     may be as deep as there are messages. Memory is a bounded number of
//     bytes for each message.
//   - Every message is in the answer exactly once, and the answer depends on
//     the messages and their order alone.
//
// Reading order: thread.go (what is put in), links.go (who replies to whom,
// step 1 of REFERENCES), loops.go (the test for loops), grove.go (steps 2 to
// 6, and the other algorithms), forest.go (the answer).
package thread
