package gate

import (
	"cmp"
	"strconv"

	"github.com/emersion/go-smtp"
)

// Action is what a verdict does.
type Action uint8

// The actions. Next is only seen inside a stage: no rule had an opinion.
const (
	Next   Action = iota
	Permit        // accept, and skip the stage's remaining rules
	Reject        // permanent: a 5xx reply
	Defer         // temporary: a 4xx reply
)

// Verdict is the answer of a rule or a stage. Code, Enhanced and Text are set
// for Reject and Defer only.
type Verdict struct {
	Action   Action
	Code     int
	Enhanced smtp.EnhancedCode
	Text     string
	Cause    error // of a Defer: what failed, for the log; never shown to the peer
}

// Refused reports whether the verdict is a 4xx or 5xx reply.
func (v Verdict) Refused() bool { return v.Action == Reject || v.Action == Defer }

// String returns "550 5.1.1 text", or "" when nothing is refused.
func (v Verdict) String() string {
	if !v.Refused() {
		return ""
	}
	e := v.Enhanced
	return strconv.Itoa(v.Code) + " " + strconv.Itoa(e[0]) + "." + strconv.Itoa(e[1]) + "." + strconv.Itoa(e[2]) + " " + v.Text
}

// reasons are the words of Reason, by subject and detail of the status code.
var reasons = map[[2]int]string{
	{1, 0}: "unknown sender",
	{1, 1}: "unknown recipient",
	{1, 6}: "moved recipient",
	{2, 2}: "mailbox full",
	{3, 0}: "lookup failed",
	{3, 1}: "no space",
	{3, 4}: "too large",
	{4, 6}: "loop",
	{5, 2}: "incomplete address",
	{7, 0}: "no login",
}

// denials tells the uses of X.7.1 apart.
var denials = map[int]string{450: "rate", 553: "sender of somebody else", 554: "not permitted"}

// Reason is why something was refused, in words of a closed list for metrics.
func (v Verdict) Reason() string {
	word := reasons[[2]int{v.Enhanced[1], v.Enhanced[2]}]
	if v.Enhanced[1] == 7 && v.Enhanced[2] == 1 {
		word = denials[v.Code]
	}
	return cmp.Or(word, "other")
}

func refuse(code int, class, subject, detail int, text string) Verdict {
	v := Verdict{Action: Reject, Code: code, Enhanced: smtp.EnhancedCode{class, subject, detail}, Text: text}
	if code < 500 {
		v.Action = Defer
	}
	return v
}

func lookupFailed(what string, err error) Verdict {
	v := refuse(451, 4, 3, 0, what+": Temporary lookup failure")
	v.Cause = err
	return v
}

// HopLimit is the number of Received fields at which a message counts as
// looping. RFC 5321 section 6.3 suggests 100 and leaves the number open; 50 is
// the limit of Postfix, and no honest path is that long.
const HopLimit = 50

// TooManyHops is the reply after end of data to a message with more than
// HopLimit Received fields.
func TooManyHops() Verdict { return refuse(554, 5, 4, 6, "Error: too many hops") }
