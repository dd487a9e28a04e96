package verify

import "time"

// Status is what is known of an address.
type Status uint8

// The statuses.
const (
	Unknown       Status = iota // nothing yet
	Deliverable                 // the next hop takes mail for it
	Deferred                    // the next hop cannot say now, or cannot be reached
	Undeliverable               // it does not
)

var statusNames = [...]string{"unknown", "deliverable", "deferred", "undeliverable"}

// String returns the name, a word of the file and a metric label.
func (s Status) String() string { return statusNames[min(int(s), len(statusNames)-1)] }

func parseStatus(s string) (Status, bool) {
	for i, name := range statusNames {
		if name == s && i > 0 {
			return Status(i), true
		}
	}
	return Unknown, false
}

// Answer is what a probe found.
type Answer struct {
	Status Status
	Code   string // enhanced status code
	Text   string // for the log, one line
	// Of the probe itself, not remembered:
	Host  string // who answered; empty for nobody
	Reply string // the answer as it came
}

// worth orders answers: of several that an address stands for the best counts.
func (s Status) worth() int {
	return map[Status]int{Deliverable: 3, Deferred: 2, Undeliverable: 1}[s]
}

// Better is the answer that counts for an address that stands for others: mail
// to it is of use if one of them takes it.
func Better(a, b Answer) Answer {
	if b.Status.worth() > a.Status.worth() {
		return b
	}
	return a
}

// Times is how long answers hold. Names and defaults are Postfix's.
type Times struct {
	PositiveExpire, PositiveRefresh time.Duration
	NegativeExpire, NegativeRefresh time.Duration
	NoNegative                      bool // only Deliverable is remembered
}

// entry is what is kept of an address.
type entry struct {
	Status
	probed  time.Time // when a probe began
	updated time.Time // when the answer came
	code    string
	text    string
}

// age is how long an entry holds, and when it is looked at again.
func (t Times) age(s Status) (expire, refresh time.Duration) {
	if s == Deliverable {
		return t.PositiveExpire, t.PositiveRefresh
	}
	return t.NegativeExpire, t.NegativeRefresh
}

func (t Times) expired(e entry, now time.Time) bool {
	expire, _ := t.age(e.Status)
	age := now.Sub(e.updated)
	return age < 0 || age >= expire
}

func (t Times) stale(e entry, now time.Time) bool {
	_, refresh := t.age(e.Status)
	return now.Sub(e.updated) >= refresh && now.Sub(e.probed) >= probeTTL
}

// probeTTL is how long a probe that leads nowhere keeps the next one away.
const probeTTL = 1000 * time.Second
