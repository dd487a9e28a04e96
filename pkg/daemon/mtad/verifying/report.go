package verifying

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/verify"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/control"
)

// VerbVerify has addresses probed and the sender told: arguments are the
// sender, empty for nobody, and the addresses. It answers with one Verified an
// address.
const VerbVerify = "VERIFY"

// MaxAddresses is how many one request may name.
const MaxAddresses = 100

// Verified is what is found of an address.
type Verified struct {
	Address string `json:"address"`
	Status  string `json:"status"` // deliverable, deferred or undeliverable
	Code    string `json:"code"`
	Text    string `json:"text"`
}

// Reporter answers VerbVerify.
type Reporter struct {
	// Allow decides whether the peer of ctx may ask in the name of sender.
	Allow   func(ctx context.Context, sender addr.Address) error
	Probe   func(ctx context.Context, a addr.Address) verify.Answer
	Bouncer queue.Bouncer
	Queue   *queue.Queue
	Timeout time.Duration // of all probes of a request
	Now     func() time.Time
	Log     *obs.Logger
}

// Verb is VerbVerify.
func (r *Reporter) Verb() control.Verb {
	return control.Verb{Name: VerbVerify, Who: control.Status, Handler: r.handle}
}

func (r *Reporter) handle(ctx context.Context, args []string, emit control.Emit) error {
	if len(args) < 2 || len(args) > 1+MaxAddresses {
		return fail.New(fail.Invalid, "%s needs a sender and 1 to %d addresses", VerbVerify, MaxAddresses)
	}
	list := make([]addr.Address, len(args))
	for i, text := range args {
		var err error
		if list[i], err = addr.Parse(text); err != nil || i > 0 && list[i].Null() {
			return fail.New(fail.Invalid, "%q is no address", text)
		}
	}
	sender, rcpts := list[0], list[1:]
	if err := r.Allow(ctx, sender); err != nil {
		return err
	}
	answers := r.probe(ctx, rcpts)
	if !sender.Null() {
		if err := r.report(ctx, sender, rcpts, answers); err != nil {
			return err
		}
	}
	for i, a := range answers {
		if err := emit(Verified{rcpts[i].String(), a.Status.String(), a.Code, a.Text}); err != nil {
			return err
		}
	}
	return nil
}

// probeAtOnce is how many addresses of a request are probed side by side.
const probeAtOnce = 10

func (r *Reporter) probe(ctx context.Context, rcpts []addr.Address) []verify.Answer {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	out := make([]verify.Answer, len(rcpts))
	slots := make(chan struct{}, probeAtOnce)
	var wg sync.WaitGroup
	for i, a := range rcpts {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i] = r.ask(ctx, a)
		})
	}
	wg.Wait()
	return out
}

// ask is Probe, whose panics concern its own address only.
func (r *Reporter) ask(ctx context.Context, a addr.Address) (got verify.Answer) {
	defer func() {
		if v := recover(); v != nil {
			r.Log.Error("panic in a probe", slog.String("rcpt", a.Path()), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
			got = verify.Answer{Status: verify.Deferred, Code: "4.3.0", Text: "internal error"}
		}
	}()
	return r.Probe(ctx, a)
}

// report queues the notification.
func (r *Reporter) report(ctx context.Context, to addr.Address, rcpts []addr.Address, answers []verify.Answer) error {
	now := r.Now()
	n := &queue.Notice{Kind: queue.NoticeVerify, To: to, Envelope: &queue.Envelope{Sender: to, Arrival: now}, Now: now, Expires: now}
	for i, a := range answers {
		rc := queue.NoticeRecipient{Recipient: queue.Recipient{Addr: rcpts[i]}, Index: i}
		rc.Status = map[verify.Status]queue.Status{verify.Deliverable: queue.Delivered, verify.Undeliverable: queue.Failed}[a.Status]
		if rc.Status == queue.Pending {
			rc.Status = queue.Deferred
		}
		rc.Code, _ = queue.ParseCode(a.Code)
		rc.Reason, rc.Diagnostic, rc.Remote, rc.Last = a.Text, a.Reply, a.Host, now
		n.Recipients = append(n.Recipients, rc)
	}
	msg, err := r.Queue.Begin(ctx, 0)
	if err != nil {
		return err
	}
	defer msg.Abort()
	facts, err := r.Bouncer.Compose(ctx, io.Writer(msg), msg.ID(), n)
	if err != nil {
		return err
	}
	return msg.Commit(ctx, &queue.Envelope{
		Arrival: now, Recipients: []queue.Recipient{{Addr: to, Notify: queue.NotifyNever}},
		SMTPUTF8: facts.SMTPUTF8, EightBit: facts.EightBit, Origin: queue.OriginVerify,
	})
}
