package piping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/program"
)

// Deliver makes one attempt for all recipients of a job.
func Deliver(ctx context.Context, name string, t routing.Transport, job *queue.Job, nextHop string) queue.Outcome {
	r := request(job, job.Recipients)
	r.Command, r.NextHop = t.Command, nextHop
	res, broken := run(ctx, name, t, job, r)
	switch { // what is the matter is logged once, for the whole transport
	case fail.Is(broken, fail.Unavailable):
		res.Reason = "mail transport unavailable"
	case broken != nil:
		res.Reason = "unknown mail transport error"
	}
	out := queue.Outcome{Results: make([]queue.Result, len(job.Recipients)), TransportFailure: broken}
	for i := range out.Results {
		out.Results[i] = res
	}
	return out
}

// Alias delivers to the command or file of an alias.
func Alias(ctx context.Context, name string, t routing.Transport, job *queue.Job, rcpt queue.Recipient, to aliases.Target) queue.Result {
	r := request(job, []queue.Recipient{rcpt})
	if to.Kind == aliases.Path {
		r.File = to.Text
	} else {
		r.Text = to.Text
	}
	if !to.Owner.Null() && !job.Envelope.Sender.Null() {
		r.Sender = to.Owner.String() // as for addresses of the same alias
	}
	res, _ := run(ctx, name, t, job, r)
	if res.Status == queue.Delivered { // in the words of Postfix's local
		res.Reason = "delivered to command: " + r.Text
		if r.File != "" {
			res.Reason = "delivered to file: " + r.File
		}
	}
	return res
}

// forwardTime is how long a program of a .forward file may take, as Postfix's
// command_time_limit.
const forwardTime = 1000 * time.Second

// Forward delivers to the command or file of a .forward file, by the helper of
// its user.
func Forward(ctx context.Context, socket string, job *queue.Job, rcpt queue.Recipient, to aliases.Target) queue.Result {
	if socket == "" {
		return NotSetUp()
	}
	return Alias(ctx, "local", routing.Transport{Socket: socket, TimeLimit: conf.Duration(forwardTime)}, job, rcpt, to)
}

// NotSetUp is the result where no helper is configured.
func NotSetUp() queue.Result {
	return queue.Result{Status: queue.Failed, Code: queue.Code{Class: 5, Subject: 3, Detail: 5}, Reason: "mail to commands and files is not set up here"}
}

func request(job *queue.Job, rcpts []queue.Recipient) program.Request {
	env := job.Envelope
	r := program.Request{
		Sender: env.Sender.String(), QueueID: job.ID.String(), Size: env.Size,
		ClientName: env.Client.Name, ClientAddress: env.Client.Addr, ClientHelo: env.Client.Helo, ClientProtocol: env.Client.Proto,
		SASLUser: env.SASLUser, SASLMethod: env.SASLMethod, EnvelopeID: env.EnvID,
	}
	if env.Client.Port != 0 {
		r.ClientPort = strconv.Itoa(int(env.Client.Port))
	}
	for _, rc := range rcpts {
		to := program.Recipient{Address: rc.Addr.String()}
		if !rc.Original.Null() {
			to.Original = rc.Original.String()
		}
		r.Recipients = append(r.Recipients, to)
	}
	return r
}

// run asks the helper. broken says why there is none: of kind fail.Unavailable
// when it could not be reached, of another when it ended without an answer.
func run(ctx context.Context, name string, t routing.Transport, job *queue.Job, r program.Request) (res queue.Result, broken error) {
	limited, cancel := context.WithTimeout(ctx, t.TimeLimit.Std())
	defer cancel()
	c, err := job.Open()
	if err != nil {
		return deferred(err.Error()), nil
	}
	defer func() { _ = c.Close() }()
	reply, err := program.Run(limited, t.Socket, r, c.Reader())
	var op *net.OpError
	switch {
	case err == nil:
	case ctx.Err() != nil, fail.Is(err, fail.Corrupt): // mtad stops; the message is damaged
		return deferred(err.Error()), nil
	case limited.Err() != nil:
		// Postfix returns the mail. Here the helper may have been too busy to begin.
		res = deferred(fmt.Sprintf("Command time limit exceeded: %q", cmp.Or(r.Command, r.Text, r.File)))
		res.Relay = name
		return res, nil
	case errors.As(err, &op) && op.Op == "dial":
		return deferred(err.Error()), err
	default:
		return deferred(err.Error()), fail.New(fail.Temporary, "%v", err)
	}
	dsn, text := reply.Status(cmp.Or(r.Text, r.Command))
	res = queue.Result{Relay: name, Code: queue.Code{Class: uint16(dsn[0]), Subject: uint16(dsn[1]), Detail: uint16(dsn[2])}, Reason: text}
	switch dsn[0] {
	case 2:
		res.Status, res.Reason = queue.Delivered, "delivered via "+name+" service"
		if text != "" {
			res.Reason += " (" + text + ")"
		}
	case 5:
		res.Status = queue.Failed
	default:
		res.Status = queue.Deferred
	}
	return res, nil
}

func deferred(why string) queue.Result {
	return queue.Result{Status: queue.Deferred, Code: queue.Code{Class: 4, Subject: 3}, Reason: why}
}
