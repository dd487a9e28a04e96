// Package turns decides which delivery of a transport comes next. It is the
// preemptive scheduler of Postfix's queue manager, as its SCHEDULER_README
// describes it: messages go first come first served, destinations of a message
// in turn; a message that needs few deliveries may overtake one that needs
// many, for which the large one has saved up slots, one in Costs.Cost
// deliveries of its own. So a large message is slowed down by no more than
// that share, however many small ones come.
//
// Invariants:
//   - A destination that is not offered never holds up another one, nor the
//     message that waits for it the next one.
//   - Each entry comes out once, or is taken out with its destination.
//   - Push and Pop take logarithmic time; the search for somebody to overtake
//     looks at maxScan messages at most, and only behind a large one.
//
// A Line is not safe for concurrent use.
//
// Reading order: line.go, preempt.go, heaps.go.
package turns
