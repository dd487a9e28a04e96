package mailbox

// Range is the UIDs from First to Last, both included.
type Range struct{ First, Last uint32 }

// Set is a set of UIDs: ranges in ascending order that do not overlap. UIDs
// that no message has do no harm.
type Set []Range

// SetOf makes a set of UIDs in any order.
func SetOf(uids ...uint32) Set { return nil }

// Contains reports whether uid is in the set.
func (s Set) Contains(uid uint32) bool { return false }

// Normalize sorts and joins ranges; use it on ranges from outside.
func (s Set) Normalize() Set { return s }
