// Package window finds out how many deliveries at a time a destination takes:
// the feedback of Postfix's queue manager, as its SCHEDULER_README describes
// it. Success opens the window of a destination, failure closes it, each by an
// amount that may depend on the window; failures that make up so many whole
// windows, without a success between, say that the destination is down.
//
// Invariants:
//   - A window is a whole number from 1 to Rules.Limit.
//   - The same results give the same windows as in Postfix; testdata has what
//     its queue manager logged.
//
// Reading order: feedback.go (an amount, as it is configured), window.go.
package window
