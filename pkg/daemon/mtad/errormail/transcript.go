package errormail

import (
	"slices"
	"strings"
	"sync"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// Class is what went wrong in a session, a word of notify_classes.
type Class string

// The classes of sessions.
const (
	Bounce   Class = "bounce"   // a recipient does not exist
	Data     Class = "data"     // a table could not be asked
	Policy   Class = "policy"   // the client may not do that
	Protocol Class = "protocol" // the client does not keep to the protocol
	Resource Class = "resource" // there is no room
	Software Class = "software" // something does not work here
)

// OfSessions are those of a list that concern sessions.
func OfSessions(list []string) (out []Class) {
	for _, c := range []Class{Bounce, Data, Policy, Protocol, Resource, Software} {
		if slices.Contains(list, string(c)) {
			out = append(out, c)
		}
	}
	return out
}

// Of is the class of a refusal by a check of ours.
func Of(v gate.Verdict) Class {
	switch {
	case fail.Is(v.Cause, fail.Full):
		return Resource
	case v.Cause != nil && strings.HasPrefix(v.Text, "Error: "): // the queue
		return Software
	case v.Cause != nil:
		return Data
	case v.Enhanced[1] == 1 && v.Enhanced[2] == 1:
		return Bounce
	}
	return Policy
}

// OfEngine is the class of a refusal by the engine.
func OfEngine(e server.Event) Class {
	if e.Why == server.Unwanted || e.Reply.Enhanced[1] == 3 && e.Reply.Enhanced[2] == 4 {
		return Policy
	}
	return Protocol
}

// What is kept of a session: its last lines, and of each no more than fits
// into the lines of a message.
const (
	maxLines = 100
	maxLine  = 500
)

// Transcript is kept of one session; nil keeps nothing. It implements the
// Recorders of server and client. Note may be called by any goroutine.
type Transcript struct {
	lines   []string
	dropped int

	mu    sync.Mutex
	noted []Class
}

// In takes what came from the other side.
func (t *Transcript) In(text string) { t.take(" In:  ", text) }

// Out takes what we said.
func (t *Transcript) Out(text string) { t.take(" Out: ", text) }

func (t *Transcript) take(mark, text string) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\r\n"), "\r\n") {
		t.add(mark, line)
	}
}

func (t *Transcript) add(mark, line string) {
	if len(t.lines) == maxLines {
		t.lines = append(t.lines[:0], t.lines[maxLines/2:]...)
		t.dropped += maxLines / 2
	}
	t.lines = append(t.lines, mark+printable(line[:min(len(line), maxLine)]))
}

// printable is text of ASCII for one line.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c >= 0x7f {
			b[i] = '?'
		}
	}
	return string(b)
}

// Note remembers that something went wrong.
func (t *Transcript) Note(c Class) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.noted, c) {
		t.noted = append(t.noted, c)
	}
}
