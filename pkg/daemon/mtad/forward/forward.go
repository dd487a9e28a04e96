package forward

import (
	"bufio"
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/rewriting"
	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Agent delivers to names that have aliases.
type Agent struct {
	Rewriter *rewriting.Rewriter
	Queue    *queue.Queue
	Hostname string
	Now      func() time.Time
	// Way is where the mail of a name goes, whatever its aliases say.
	Way func(ctx context.Context, a addr.Address) (routing.Way, error)
	// Mailbox delivers by such a way.
	Mailbox func(ctx context.Context, job *queue.Job, r queue.Recipient, hop route.Hop) queue.Result
	// Program hands the message to the helper: a command or a file.
	Program func(ctx context.Context, job *queue.Job, r queue.Recipient, t aliases.Target) queue.Result
	// Made hears of each message that goes on, with its Message-ID.
	Made func(qid, msgID string)
}

// Deliver makes one attempt for each recipient of a job.
func (a *Agent) Deliver(ctx context.Context, job *queue.Job) queue.Outcome {
	out := queue.Outcome{Results: make([]queue.Result, len(job.Recipients))}
	for i, r := range job.Recipients {
		if ctx.Err() != nil {
			break // the rest is deferred
		}
		out.Results[i] = a.deliver(ctx, job, r)
		out.Results[i].Relay = "local"
	}
	return out
}

func (a *Agent) deliver(ctx context.Context, job *queue.Job, r queue.Recipient) queue.Result {
	targets, err := a.Rewriter.Aliases(ctx, r.Addr)
	switch {
	case fail.Is(err, fail.NotFound):
		return a.mailbox(ctx, job, r)
	case fail.Is(err, fail.Permanent):
		return failed(3, 5, err.Error())
	case err != nil:
		return deferred(3, 0, err.Error())
	}
	loop, msgID, err := a.header(job, r.Addr)
	switch {
	case err != nil:
		return deferred(3, 0, err.Error())
	case loop != "":
		return failed(4, 6, loop)
	}
	worst := queue.Result{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "delivered to aliases"}
	only := len(targets) == 1
	var away []aliases.Target
	for _, t := range targets {
		var res queue.Result
		switch t.Kind {
		case aliases.User:
			to := r
			if to.Original.Null() {
				to.Original = r.Addr
			}
			to.Addr = t.Addr
			res = a.mailbox(ctx, job, to)
		case aliases.Command, aliases.Path:
			res = a.Program(ctx, job, r, t)
		default:
			away = append(away, t)
			continue
		}
		worst = worse(worst, res)
	}
	if worst.Status != queue.Deferred && len(away) > 0 {
		worst = worse(worst, a.forward(ctx, job, r, away, only, msgID))
	}
	worst.Expanded = worst.Status == queue.Delivered && !only && slices.ContainsFunc(targets, func(t aliases.Target) bool { return t.Owner.Null() })
	return worst
}

// mailbox delivers to the mailbox of a name. One that does not exist may have
// an address in its place, which gets a new message.
func (a *Agent) mailbox(ctx context.Context, job *queue.Job, r queue.Recipient) queue.Result {
	way, err := a.Way(ctx, r.Addr)
	switch {
	case err != nil:
		return deferred(3, 0, err.Error())
	case way.Instead.Null():
		return a.Mailbox(ctx, job, r, way.Hop)
	}
	loop, msgID, err := a.header(job, r.Addr)
	switch {
	case err != nil:
		return deferred(3, 0, err.Error())
	case loop != "":
		return failed(4, 6, loop)
	}
	return a.forward(ctx, job, r, []aliases.Target{{Kind: aliases.Address, Addr: way.Instead}}, true, msgID)
}

// worse is the result that matters more to the sender.
func worse(a, b queue.Result) queue.Result {
	rank := func(s queue.Status) int {
		switch s {
		case queue.Delivered:
			return 0
		case queue.Failed:
			return 1
		}
		return 2
	}
	if rank(b.Status) > rank(a.Status) || rank(b.Status) == 0 && b.Reason != "" {
		return b
	}
	return a
}

func failed(subject, detail uint16, text string) queue.Result {
	return queue.Result{Status: queue.Failed, Code: queue.Code{Class: 5, Subject: subject, Detail: detail}, Reason: text}
}

func deferred(subject, detail uint16, text string) queue.Result {
	return queue.Result{Status: queue.Deferred, Code: queue.Code{Class: 4, Subject: subject, Detail: detail}, Reason: text}
}

// maxHeader caps the header that is searched for loops.
const maxHeader = 256 << 10

// maxMessageID caps what of a Message-ID is logged.
const maxMessageID = 250

// header says in which way a message goes round in circles: it has been to a
// name before, or has come so far that it will never arrive; "" for neither.
// msgID is its Message-ID, for the log.
func (a *Agent) header(job *queue.Job, to addr.Address) (loop, msgID string, err error) {
	c, err := job.Open()
	if err != nil {
		return "", "", err
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(io.LimitReader(c.Reader(), maxHeader))
	name := ""
	for hops := 0; ; {
		line, err := in.ReadString('\n')
		if strings.TrimRight(line, "\r\n") == "" {
			return "", msgID, nil
		}
		value, folded := line, line[0] == ' ' || line[0] == '\t'
		if !folded {
			name, value, _ = strings.Cut(line, ":")
			name = strings.TrimSpace(name)
		}
		value = strings.TrimSpace(value)
		switch {
		case strings.EqualFold(name, "Message-ID"):
			if msgID == "" { // it may stand in the second line
				msgID = string(wire.AppendPrintable(nil, value[:min(len(value), maxMessageID)]))
			}
		case folded:
		case strings.EqualFold(name, "Received"):
			if hops++; hops >= gate.HopLimit {
				return "too many hops", msgID, nil
			}
		case strings.EqualFold(name, "Delivered-To") && strings.EqualFold(value, to.String()):
			return "mail forwarding loop for " + to.String(), msgID, nil
		}
		if err != nil {
			return "", msgID, nil
		}
	}
}

// forward queues a new message for the targets, one for each sender. A target
// that is the only one inherits all that the sender has asked for; of several
// the name itself reports that it was expanded (RFC 3461 section 5.2.7). A list,
// which has an owner, is where the sender's message ends.
func (a *Agent) forward(ctx context.Context, job *queue.Job, r queue.Recipient, targets []aliases.Target, only bool, msgID string) queue.Result {
	done := queue.Result{}
	for len(targets) > 0 {
		owner := targets[0].Owner
		var mine []addr.Address
		var rest []aliases.Target
		for _, t := range targets {
			if t.Owner == owner {
				mine = append(mine, t.Addr)
			} else {
				rest = append(rest, t)
			}
		}
		targets = rest
		id, err := a.submit(ctx, job, r, owner, mine, only)
		if err != nil {
			return deferred(3, 0, "forwarding: "+err.Error())
		}
		a.Made(id, msgID)
		done = queue.Result{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "forwarded as " + id}
		done.Relayed = owner.Null() && only
	}
	return done
}

// submit makes one new message.
func (a *Agent) submit(ctx context.Context, job *queue.Job, r queue.Recipient, owner addr.Address, to []addr.Address, only bool) (id string, err error) {
	env, err := a.envelope(ctx, job, r, owner, to, only)
	if err != nil {
		return "", err
	}
	c, err := job.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	msg, err := a.Queue.Begin(ctx, c.Size())
	if err != nil {
		return "", err
	}
	defer msg.Abort()
	id = msg.ID().String()
	if _, err := io.Copy(msg, c.Reader()); err != nil {
		return "", err
	}
	msg.SetHeaders([]byte("Received: by "+a.Hostname+" (Postcote)\r\n\tid "+id+"; "+header.Date(env.Arrival)+"\r\n"+
		"Delivered-To: "+r.Addr.String()+"\r\n"), 0)
	return id, msg.Commit(ctx, env)
}

// envelope is that of the new message. What the owner of a list gets back is
// none of the sender's business (RFC 3461 section 5.2.7.1).
func (a *Agent) envelope(ctx context.Context, job *queue.Job, r queue.Recipient, owner addr.Address, to []addr.Address, only bool) (*queue.Envelope, error) {
	env := *job.Envelope
	env.Arrival, env.Size, env.Origin, env.Recipients, env.Hold = a.Now(), 0, "local", nil, false
	notify, orcpt := r.Notify, r.ORCPT
	if !only {
		if notify &^= queue.NotifySuccess; notify == 0 && r.Notify != 0 {
			notify = queue.NotifyNever // not even failures were asked for
		}
	}
	if !owner.Null() && !env.Sender.Null() {
		env.Sender, env.EnvID, env.Return, notify, orcpt = owner, "", queue.ReturnUnset, 0, ""
	}
	list, err := a.Rewriter.Recipients(ctx, env.Sender, to)
	if err != nil {
		return nil, err
	}
	for k, given := range to {
		var same []addr.Address
		for _, t := range list {
			if t.Given == k { // a blind copy was made when the message came
				same = append(same, t.Addr)
			}
		}
		env.Recipients = append(env.Recipients, queue.Expand(queue.Recipient{Addr: given, Original: r.Addr, Notify: notify, ORCPT: orcpt}, same)...)
	}
	return &env, nil
}
