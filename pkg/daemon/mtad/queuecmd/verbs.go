package queuecmd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Verbs are the control verbs of a queue. Listing is open to all who can
// connect, as mailq is; all else, reading mail above all, is the
// administrator's.
func Verbs(q *queue.Queue) []control.Verb {
	change := func(name string, do func(context.Context, queue.Selection) (int, error)) control.Verb {
		return control.Verb{Name: name, Who: control.Admin, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			return changeMessages(ctx, args, emit, do)
		}}
	}
	return []control.Verb{
		{Name: verbList, Who: control.Status, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			return list(ctx, q, args, emit)
		}},
		{Name: verbStats, Who: control.Status, Handler: func(_ context.Context, _ []string, emit control.Emit) error {
			return emit(q.Stats())
		}},
		{Name: verbShow, Who: control.Admin, Handler: func(ctx context.Context, args []string, emit control.Emit) error {
			return show(ctx, q, args, emit)
		}},
		change(verbDelete, q.Delete),
		change(verbHold, q.Hold),
		change(verbRelease, q.Release),
		change(verbFlush, q.Flush),
		change(verbRequeue, q.Requeue),
		change(verbExpire, q.Expire),
	}
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

// asMailq is the argument of a list that wants to be sent as the text of
// mailq, in pieces: reading 100 000 JSON objects takes a client seconds.
const asMailq = "form=mailq"

func list(ctx context.Context, q *queue.Queue, args []string, emit control.Emit) error {
	if i := slices.Index(args, asMailq); i >= 0 {
		return listText(ctx, q, slices.Delete(slices.Clone(args), i, i+1), emit)
	}
	f, err := filter(args)
	if err != nil {
		return err
	}
	for e := range q.List(f) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := emit(listed(&e)); err != nil {
			return err
		}
	}
	return nil
}

func listText(ctx context.Context, q *queue.Queue, args []string, emit control.Emit) error {
	var m mailq
	err := list(ctx, q, args, func(v any) error {
		l, ok := v.(Listed)
		if !ok {
			return fail.New(fail.Invalid, "a list holds %T", v)
		}
		if m.add(&l); len(m.text) < textPiece {
			return nil
		}
		err := emit(string(m.text))
		m.text = m.text[:0]
		return err
	})
	if err != nil {
		return err
	}
	m.end()
	return emit(string(m.text))
}

// selection reads "ALL", "destination=D" or ids.
func selection(args []string) (sel queue.Selection, err error) {
	if len(args) == 1 && args[0] == "ALL" {
		return queue.Selection{All: true}, nil
	}
	f, err := filter(args)
	if err != nil {
		return sel, err
	}
	if len(f.Places) > 0 || f.Sender != "" || f.Recipient != "" || len(f.IDs) == 0 && f.Destination == "" {
		return sel, fail.New(fail.Invalid, "say which messages: queue ids, ALL, or destination=DOMAIN")
	}
	return queue.Selection{IDs: f.IDs, Destination: f.Destination}, nil
}

func changeMessages(ctx context.Context, args []string, emit control.Emit, do func(context.Context, queue.Selection) (int, error)) error {
	sel, err := selection(args)
	if err != nil {
		return err
	}
	n, err := do(ctx, sel)
	if eerr := emit(Changed{n}); eerr != nil {
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
		return fail.New(fail.Invalid, "%s wants a queue id and what to show", verbShow)
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
