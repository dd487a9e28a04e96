package queuecmd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Access decides what may be done by those who are no administrators; its
// functions return an error of kind fail.Denied, nil ones let everybody.
type Access struct {
	List, Flush func(ctx context.Context) error
	// Readdress is what a message that is queued again is addressed to.
	Readdress queue.Readdress
	// Changed, if not nil, hears of each message that an administrator has
	// changed, in the words of postsuper.
	Changed func(id queue.ID, what string)
}

func allowed(ctx context.Context, may func(context.Context) error) error {
	if may == nil {
		return nil
	}
	return may(ctx)
}

// Verbs are the control verbs of a queue. Listing and flushing are open to
// those whom access lets, as with Postfix; all else, reading mail above all,
// is the administrator's.
func Verbs(q *queue.Queue, access Access) []control.Verb {
	change := func(name, what string, do func(context.Context, queue.Selection) (int, error)) control.Verb {
		return control.Verb{Name: name, Who: control.Admin, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			return changeMessages(ctx, args, emit, func(id queue.ID) {
				if access.Changed != nil {
					access.Changed(id, what)
				}
			}, do)
		}}
	}
	return append(pauseVerbs(q), []control.Verb{
		{Name: VerbTop, Who: control.Status, Handler: func(ctx context.Context, _ []string, emit control.Emit) error {
			if err := allowed(ctx, access.List); err != nil {
				return err
			}
			return top(ctx, q, time.Now(), emit)
		}},
		{Name: VerbList, Who: control.Status, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			if err := allowed(ctx, access.List); err != nil {
				return err
			}
			return list(ctx, q, args, emit)
		}},
		{Name: VerbFlush, Who: control.Status, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			if err := allowed(ctx, access.Flush); err != nil {
				return err
			}
			return changeMessages(ctx, args, emit, func(queue.ID) {}, q.Flush)
		}},
		{Name: VerbStats, Who: control.Status, Handler: func(_ context.Context, _ []string, emit control.Emit) error {
			return emit(q.Stats())
		}},
		{Name: VerbShow, Who: control.Admin, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			return show(ctx, q, args, emit)
		}},
		change(VerbDelete, "removed", q.Delete),
		change(VerbHold, "placed on hold", q.Hold),
		change(VerbRelease, "released from hold", q.Release),
		change(VerbRequeue, "requeued", func(ctx context.Context, sel queue.Selection) (int, error) {
			sel.Readdress = access.Readdress
			return q.Requeue(ctx, sel)
		}),
		change(VerbExpire, "expired", q.Expire),
		change(VerbExpireHeld, "expired", q.ExpireHeld),
	}...)
}

// filter reads arguments "state=S", "sender=A", "recipient=A",
// "destination=D" and ids.
func filter(args []string) (f queue.Filter, err error) {
	for _, a := range args {
		key, value, ok := strings.Cut(a, "=")
		switch {
		case !ok:
			id, err := queue.ParseID(a)
			if err != nil {
				return f, err
			}
			f.IDs = append(f.IDs, id)
		case key == "state":
			p, ok := placeOf(value)
			if !ok {
				return f, fail.New(fail.Invalid, "state %q is not one of %s", value, strings.Join(states(), ", "))
			}
			f.Places = append(f.Places, p)
		case key == "sender":
			f.Sender = value
		case key == "recipient":
			f.Recipient = value
		case key == "destination":
			f.Destination = value
		default:
			return f, fail.New(fail.Invalid, "unknown argument %q", a)
		}
	}
	return f, nil
}

func states() []string {
	var names []string
	for p := queue.Incoming; p <= queue.Held; p++ {
		names = append(names, p.String())
	}
	return names
}

func placeOf(name string) (queue.Place, bool) {
	i := slices.Index(states(), name)
	return queue.Place(max(i, 0)), i >= 0
}

// AsMailq and AsPostqueue are arguments of a list that wants to be sent as the
// text of mailq or postqueue -j, in pieces: reading 100 000 JSON objects takes
// a client seconds.
const (
	AsMailq     = "form=mailq"
	AsPostqueue = "form=postqueue"
)

// text is a list as text.
type text interface {
	add(*Listed)
	end()
	take() string // what has been made since the last call
	size() int    // of that
}

func list(ctx context.Context, q *queue.Queue, args []string, emit control.Emit) error {
	for form, text := range map[string]text{AsMailq: &mailq{}, AsPostqueue: &postqueue{}} {
		if i := slices.Index(args, form); i >= 0 {
			return listText(ctx, q, slices.Delete(slices.Clone(args), i, i+1), text, emit)
		}
	}
	f, err := filter(args)
	if err != nil {
		return err
	}
	return listEach(ctx, q, f, func(l *Listed) error { return emit(l) })
}

// listEach visits what f chooses; a Listed is valid during the call only.
func listEach(ctx context.Context, q *queue.Queue, f queue.Filter, visit func(*Listed) error) error {
	var l Listed
	for e := range q.List(f) {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.describe(&e)
		if err := visit(&l); err != nil {
			return err
		}
	}
	return nil
}

func listText(ctx context.Context, q *queue.Queue, args []string, t text, emit control.Emit) error {
	f, err := filter(args)
	if err != nil {
		return err
	}
	err = listEach(ctx, q, f, func(l *Listed) error {
		if t.add(l); t.size() < textPiece {
			return nil
		}
		return emit(t.take())
	})
	if err != nil {
		return err
	}
	t.end()
	return emit(t.take())
}

// selection reads "ALL", "destination=D" or ids, and any number of "state=S".
func selection(args []string) (sel queue.Selection, err error) {
	all := slices.Index(args, "ALL")
	if all >= 0 {
		args = slices.Delete(slices.Clone(args), all, all+1)
	}
	f, err := filter(args)
	if err != nil {
		return sel, err
	}
	if f.Sender != "" || f.Recipient != "" || (all >= 0) == (len(f.IDs) > 0 || f.Destination != "") {
		return sel, fail.New(fail.Invalid, "say which messages: queue ids, ALL, or destination=DOMAIN, with state=STATE to look at some of them only")
	}
	return queue.Selection{All: all >= 0, IDs: f.IDs, Destination: f.Destination, Places: f.Places}, nil
}

func changeMessages(ctx context.Context, args []string, emit control.Emit, changed func(queue.ID), do func(context.Context, queue.Selection) (int, error)) error {
	sel, err := selection(args)
	if err != nil {
		return err
	}
	var ids []queue.ID
	sel.Changed = func(id queue.ID) {
		if len(sel.IDs) > 0 {
			ids = append(ids, id)
		}
		changed(id)
	}
	n, err := do(ctx, sel)
	if eerr := emit(Changed{n, ids}); eerr != nil {
		return eerr
	}
	return err
}

// textPiece is the size of one value of a list as text.
const textPiece = 24 << 10

// showPiece is the size of one value of the answer to show.
const showPiece = 24 << 10

// show answers with parts of one message: arguments are the id and a list of
// "envelope", "headers", "body".
func show(ctx context.Context, q *queue.Queue, args []string, emit control.Emit) error {
	if len(args) < 2 {
		return fail.New(fail.Invalid, "%s wants a queue id and what to show", VerbShow)
	}
	id, err := queue.ParseID(args[0])
	if err != nil {
		return err
	}
	parts := args[1:]
	if slices.Contains(parts, "envelope") {
		e, env, err := q.Get(id)
		if err != nil {
			return err
		}
		f := facts(&e, env)
		if err := emit(Shown{Envelope: &f}); err != nil {
			return err
		}
	}
	headers, body := slices.Contains(parts, "headers"), slices.Contains(parts, "body")
	if !headers && !body {
		return nil
	}
	c, err := q.Open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	return showContent(ctx, c.Reader(), headers, body, emit)
}

// showContent sends header and body in pieces.
func showContent(ctx context.Context, r io.Reader, headers, body bool, emit control.Emit) error {
	in := bufio.NewReaderSize(r, showPiece)
	out := pieces{emit: emit}
	inHeader, atStart := true, true
	for ctx.Err() == nil {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		if inHeader && atStart && len(strings.TrimRight(string(line), "\r\n")) == 0 {
			if eerr := out.flush(true); eerr != nil || !body {
				return eerr
			}
			inHeader, line = false, nil
		}
		atStart = err == nil
		if inHeader && headers || !inHeader {
			if eerr := out.add(line, inHeader); eerr != nil {
				return eerr
			}
		}
		if errors.Is(err, io.EOF) {
			return out.flush(inHeader)
		}
	}
	return ctx.Err()
}

// pieces gathers lines to values of a useful size.
type pieces struct {
	emit control.Emit
	buf  []byte
}

func (p *pieces) add(line []byte, header bool) error {
	p.buf = append(p.buf, line...)
	if len(p.buf) < showPiece {
		return nil
	}
	return p.flush(header)
}

func (p *pieces) flush(header bool) error {
	if len(p.buf) == 0 {
		return nil
	}
	value := Shown{Body: p.buf}
	if header {
		value = Shown{Headers: p.buf}
	}
	err := p.emit(value)
	p.buf = p.buf[:0]
	return err
}
