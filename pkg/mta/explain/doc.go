// Package explain lets an operator see why mail goes where it goes: the code
// that decides tells each decision to whoever asked in the context. It is the
// daemon's own code that is watched, not a second one that could disagree.
//
// Invariants:
//   - Nobody asked, nothing is done: a Step is only made when it is heard.
//   - A Step holds addresses and configuration, never a password.
//
// Reading order: explain.go.
package explain
