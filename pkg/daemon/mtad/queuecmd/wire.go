package queuecmd

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Names of the verbs.
const (
	VerbList    = "QUEUE-LIST"
	VerbStats   = "QUEUE-STATS"
	VerbShow    = "QUEUE-SHOW"
	VerbDelete  = "QUEUE-DELETE"
	VerbHold    = "QUEUE-HOLD"
	VerbRelease = "QUEUE-RELEASE"
	VerbFlush   = "QUEUE-FLUSH"
	VerbRequeue = "QUEUE-REQUEUE"
	VerbExpire  = "QUEUE-EXPIRE"

	// VerbExpireHeld is VerbExpire, but what is on hold stays there.
	VerbExpireHeld = "QUEUE-EXPIRE-HELD"

	VerbTop    = "QUEUE-TOP"
	VerbPause  = "QUEUE-PAUSE"
	VerbResume = "QUEUE-RESUME"
	VerbPaused = "QUEUE-PAUSED"
)

// IsID reports whether s can be a queue id.
func IsID(s string) bool {
	_, err := queue.ParseID(s)
	return err == nil
}

// Listed is one message of a list. The first seven names are Postfix's
// (postqueue -j).
type Listed struct {
	QueueName    string            `json:"queue_name"`
	QueueID      string            `json:"queue_id"`
	ArrivalTime  int64             `json:"arrival_time"`
	MessageSize  int64             `json:"message_size"`
	ForcedExpire bool              `json:"forced_expire"`
	Sender       string            `json:"sender"`
	Recipients   []ListedRecipient `json:"recipients"`
	NextAttempt  int64             `json:"next_attempt,omitempty"`
	NullSender   bool              `json:"null_sender,omitempty"`
	Damaged      bool              `json:"damaged,omitempty"`
}

// ListedRecipient is one recipient of a Listed message.
type ListedRecipient struct {
	Address     string `json:"address"`
	DelayReason string `json:"delay_reason,omitempty"`
	Status      string `json:"status"`
	Attempts    int    `json:"attempts,omitempty"`
	Code        string `json:"code,omitempty"`
	NextAttempt int64  `json:"next_attempt,omitempty"`
}

// Unfinished reports whether a recipient with this Status is still to be tried.
func Unfinished(status string) bool {
	return status == queue.Pending.String() || status == queue.Deferred.String()
}

// describe makes l say what e is; it uses the room that l has for recipients.
func (l *Listed) describe(e *queue.Entry) {
	room := l.Recipients[:0]
	if room == nil {
		room = []ListedRecipient{} // never null in JSON
	}
	*l = Listed{
		QueueName: e.Place.String(), QueueID: e.ID.String(), ArrivalTime: e.Arrival.Unix(), MessageSize: e.Size,
		ForcedExpire: e.Expiring, Sender: e.Sender.String(), NextAttempt: unix(e.Next), Damaged: e.Damaged,
		Recipients: slices.Grow(room, len(e.Recipients))[:len(e.Recipients)],
	}
	if e.Sender.Null() {
		l.Sender, l.NullSender = "MAILER-DAEMON", true // as Postfix shows the null sender
	}
	for i := range e.Recipients {
		r := &e.Recipients[i]
		l.Recipients[i] = ListedRecipient{
			Address: r.Addr.String(), DelayReason: r.Reason, Status: r.Status.String(), Attempts: int(r.Attempts),
			Code: r.Code.String(), NextAttempt: unix(r.Next),
		}
	}
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// AppendText appends what a value of a list as text says: a JSON string. The
// escapes that such texts are full of are read here, which takes a quarter of
// the time that encoding/json does.
func AppendText(dst, raw []byte) ([]byte, error) {
	before := len(dst)
	if len(raw) >= 2 && raw[0] == '"' && raw[len(raw)-1] == '"' {
		var ok bool
		if dst, ok = unescape(dst, raw[1:len(raw)-1]); ok {
			return dst, nil
		}
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return dst[:before], fail.Wrap(fail.Invalid, err, "list")
	}
	return append(dst[:before], text...), nil
}

// unescape knows line feeds, quotes and backslashes only.
func unescape(dst, b []byte) ([]byte, bool) {
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...), bytes.IndexByte(b, '"') < 0
		}
		if i+1 == len(b) || bytes.IndexByte(b[:i], '"') >= 0 {
			return dst, false
		}
		dst = append(dst, b[:i]...)
		switch c := b[i+1]; c {
		case 'n':
			dst = append(dst, '\n')
		case '"', '\\':
			dst = append(dst, c)
		default:
			return dst, false
		}
		b = b[i+2:]
	}
}

// Facts are the envelope of a message, for show.
type Facts struct {
	Listed
	Client     string         `json:"client,omitempty"` // name[address]:port
	Helo       string         `json:"helo,omitempty"`
	Protocol   string         `json:"protocol,omitempty"`
	Origin     string         `json:"origin,omitempty"`
	User       string         `json:"user,omitempty"`
	Method     string         `json:"method,omitempty"`
	EnvelopeID string         `json:"envelope_id,omitempty"`
	Return     string         `json:"return,omitempty"`
	SMTPUTF8   bool           `json:"smtputf8,omitempty"`
	EightBit   bool           `json:"8bitmime,omitempty"`
	RequireTLS bool           `json:"require_tls,omitempty"`
	Requests   []RequestFacts `json:"requests,omitempty"` // of each recipient, in order
}

// RequestFacts are what the sender said of one recipient.
type RequestFacts struct {
	Original string `json:"original,omitempty"`
	ORCPT    string `json:"orcpt,omitempty"`
	Notify   string `json:"notify,omitempty"`
}

func facts(e *queue.Entry, env *queue.Envelope) Facts {
	f := Facts{
		Helo: env.Client.Helo, Protocol: env.Client.Proto, Origin: env.Origin, User: env.SASLUser, Method: env.SASLMethod,
		EnvelopeID: env.EnvID, Return: env.Return.String(), SMTPUTF8: env.SMTPUTF8, EightBit: env.EightBit, RequireTLS: env.RequireTLS,
	}
	f.Listed.describe(e)
	if env.Client.Addr != "" {
		f.Client = env.Client.Name + "[" + env.Client.Addr + "]"
	}
	for _, r := range env.Recipients {
		f.Requests = append(f.Requests, RequestFacts{Original: r.Original.String(), ORCPT: r.ORCPT, Notify: r.Notify.String()})
	}
	return f
}

// Shown is one value of the answer to show; one field is set.
type Shown struct {
	Envelope *Facts `json:"envelope,omitempty"`
	Headers  []byte `json:"headers,omitempty"` // a piece
	Body     []byte `json:"body,omitempty"`    // a piece
}

// Changed is the answer to verbs that change messages.
type Changed struct {
	Changed int        `json:"changed"`
	IDs     []queue.ID `json:"ids,omitempty"` // of those, if they were named by id
}
