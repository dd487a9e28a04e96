package localmail

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/maildrop"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Pickup takes the mail that sendmail(1) has left in the drop.
type Pickup struct {
	FS    disk.FS
	Dir   string
	Every time.Duration // between two looks; 0 means 10 s
	Now   func() time.Time
	Log   *obs.Logger
	// Dial connects to the submit listener as the user with this uid.
	Dial func(ctx context.Context, uid int) (net.Conn, error)

	left map[string]rest // of messages that some of their recipients have
}

// rest is what is left to do with a message.
type rest struct {
	wait    map[addr.Address]bool // who still has to get it
	refused error                 // somebody was refused for good
}

const (
	pickupInterval = 10 * time.Second
	pickupAtOnce   = 100000 // files of one look
	unfinishedAge  = 24 * time.Hour
)

// Run looks into the drop until ctx is done.
func (p *Pickup) Run(ctx context.Context) {
	every := p.Every
	if every <= 0 {
		every = pickupInterval
	}
	said := "" // a drop that does not work is told of once
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := p.look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			p.Log.Error("mail drop", slog.String("dir", p.Dir), obs.Err(err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes what is there. A user whose message has to wait, or cannot even be
// set aside, does not keep those of others waiting; the first such reason is
// returned.
func (p *Pickup) look(ctx context.Context) error {
	if err := maildrop.Tidy(p.FS, p.Dir, p.Now(), unfinishedAge); err != nil {
		return err
	}
	names, err := maildrop.List(p.FS, p.Dir, pickupAtOnce)
	if err != nil {
		return err
	}
	maps.DeleteFunc(p.left, func(name string, _ rest) bool {
		_, there := slices.BinarySearch(names, name)
		return !there
	})
	waits := map[int]bool{} // users
	for _, name := range names {
		uid, terr := p.take(ctx, name, waits)
		if terr == nil {
			continue
		}
		if err == nil {
			err = terr
		}
		if ctx.Err() != nil {
			return err
		}
		if uid >= 0 {
			waits[uid] = true
		}
	}
	return err
}

// take submits one message and removes its file, unless its user has to wait.
// What can never be taken is set aside; only what has to be tried again is an
// error. uid is -1 when the file could not be read.
func (p *Pickup) take(ctx context.Context, name string, waits map[int]bool) (uid int, err error) {
	mail, err := maildrop.Open(p.FS, name)
	uid = -1
	if err == nil {
		defer mail.Close()
		if uid = mail.UID; waits[uid] {
			return uid, nil
		}
		err = p.submit(ctx, name, mail)
	}
	switch {
	case err == nil:
		disk.Point(p.FS, "maildrop.taken")
		return uid, maildrop.Remove(p.FS, name)
	case fail.Is(err, fail.Corrupt), fail.Is(err, fail.Permanent), fail.Is(err, fail.Invalid):
		p.Log.Error("a message in the mail drop was refused and set aside", slog.String("file", name), obs.Err(err))
		return uid, maildrop.SetAside(p.FS, name)
	}
	return uid, err
}

func (p *Pickup) submit(ctx context.Context, name string, mail *maildrop.Mail) error {
	env, err := envelope(&mail.Envelope)
	if err != nil {
		return err
	}
	env.Size = mail.Size
	left, begun := p.left[name]
	if begun {
		env.To = slices.DeleteFunc(env.To, func(r client.Recipient) bool { return !left.wait[r.To] })
	}
	if len(env.To) == 0 {
		return left.refused
	}
	conn, err := p.Dial(ctx, mail.UID)
	if err != nil {
		return fail.Wrap(fail.Temporary, err, "submission")
	}
	c, err := client.New(ctx, conn, client.Config{Name: "localhost", MaxLine: -1})
	if err != nil {
		return site(err)
	}
	defer c.Close()
	results, err := c.Send(ctx, env, mail.Reader())
	if err != nil {
		return site(err)
	}
	_ = c.Quit(ctx)
	return p.judge(name, &env, left.refused, results)
}

// judge says what is left to do. Whoever has the message does not get it
// again; whoever has to wait is tried alone. A recipient that is refused for
// good would have been refused to sendmail, too, but nobody hears of it here:
// the message is kept for the operator.
func (p *Pickup) judge(name string, env *client.Envelope, refused error, results []client.Result) error {
	wait := map[addr.Address]bool{}
	var later error
	for i, r := range results {
		if r.Sent() {
			continue
		}
		p.Log.Warn("a recipient of a message in the mail drop was refused", slog.String("file", name),
			slog.String("rcpt", env.To[i].To.Path()), slog.String("reply", r.Reply().String()))
		if r.Permanent() {
			refused = fail.New(fail.Permanent, "%s", r.Reply().String())
			continue
		}
		wait[env.To[i].To] = true
		later = fail.New(fail.Temporary, "%s", r.Reply().String())
	}
	if later == nil {
		return refused
	}
	if p.left == nil {
		p.left = map[string]rest{}
	}
	p.left[name] = rest{wait, refused}
	return later
}

func site(err error) error {
	if s, ok := err.(*client.SiteError); ok && s.Permanent() {
		return fail.Wrap(fail.Permanent, err, "submission")
	}
	return fail.Wrap(fail.Temporary, err, "submission")
}

// envelope reads the addresses of a drop's envelope.
func envelope(e *maildrop.Envelope) (client.Envelope, error) {
	env := client.Envelope{Return: smtp.DSNReturn(strings.ToUpper(e.Return)), EnvelopeID: e.EnvelopeID, UTF8: e.SMTPUTF8}
	if e.EightBit {
		env.Body = smtp.Body8BitMIME
	}
	if e.Sender != "" {
		sender, err := addr.Parse(e.Sender)
		if err != nil {
			return env, fail.Wrap(fail.Invalid, err, "sender")
		}
		env.From = sender
	}
	for _, r := range e.Recipients {
		to, err := addr.Parse(r.To)
		if err != nil {
			return env, fail.Wrap(fail.Invalid, err, "recipient")
		}
		rcpt := client.Recipient{To: to}
		for _, n := range r.Notify {
			rcpt.Options.Notify = append(rcpt.Options.Notify, smtp.DSNNotify(n))
		}
		env.To = append(env.To, rcpt)
	}
	return env, nil
}

// As returns two ends of a connection. The server's end belongs to the user
// with this uid, see UIDOf.
func As(uid int) (server, peer net.Conn, err error) {
	a, b, err := pair()
	if err != nil {
		return nil, nil, err
	}
	return owned{a, uid}, b, nil
}

// owned is a connection in the name of a user.
type owned struct {
	net.Conn
	uid int
}

// UIDOf returns the user of a connection that As has made.
func UIDOf(c net.Conn) (uid int, ok bool) {
	o, ok := c.(owned)
	return o.uid, ok
}
