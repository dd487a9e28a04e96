// Package rate counts what each client does in a unit of time, as Postfix's
// anvil(8) does, so that a listener can refuse what is too much.
//
// Invariants:
//   - What is not limited is not counted.
//   - A client's counts begin anew once its unit of time is over; there is no
//     memory of the one before.
//   - Memory is bounded: where there are too many clients at a time, new ones are
//     not counted.
package rate
