// Package slots runs password hashes where they cannot starve anything else.
//
// A hash is made to be expensive: tens of milliseconds of a core and tens of
// MiB; SCRAM's keys, made of a readable password, take as long. A slot is an
// operating system thread of its own with a low priority and a workspace of its
// own; there are fewer slots than cores, and the requests that wait for one are
// bounded. So a flood of logins makes logins slow, while user lookups,
// redemptions and cached logins go on at full speed, and memory stays below
// slots × the largest hash allowed.
//
// Invariants: a hash runs only in a slot; a request whose caller is gone is
// never begun; a full queue is fail.Unavailable, never a refusal.
//
// Reading order: slots.go.
package slots
