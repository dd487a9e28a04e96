package server

import (
	"io"
	"strconv"
	"time"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// body is the content of one message, from DATA or from a row of BDAT
// commands. Between two chunks its Read answers the one and waits for the
// other, so that the session's Message sees one stream.
type body struct {
	e      *engine
	data   wire.Data
	chunks wire.Chunks
	bdat   bool
	began  time.Time // of the first chunk
	last   bool      // the chunk at hand is the last one
	rest   []byte
	err    error // how it ended; nil while it goes on
}

func (b *body) openData(e *engine) {
	b.e, b.bdat, b.rest, b.err = e, false, nil, nil
	b.data.Reset(e.in)
}

func (b *body) openBdat(e *engine, n int64, last bool) {
	b.e, b.bdat, b.rest, b.err = e, true, nil, nil
	b.chunks.Reset(e.in)
	b.chunks.Start(n)
	b.last, b.began = last, time.Now()
}

// Next returns the next run of content, valid until the next call.
func (b *body) Next() ([]byte, error) {
	if b.err != nil {
		return nil, b.err
	}
	run, err := b.source()
	if err == nil {
		tx := b.e.tx
		tx.Size += int64(len(run))
		limit := b.e.pub.Policy.Limits.MessageSize
		if limit <= 0 || tx.Size <= limit {
			return run, nil
		}
		err = ErrTooBig
	} else if err == io.EOF && b.bare() && b.e.pub.Policy.BareLF == wire.RejectBareLF {
		err = ErrBareLF
	}
	b.err = err
	return nil, err
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(b.rest) == 0 {
		run, err := b.Next()
		if err != nil {
			return 0, err
		}
		b.rest = run
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo without copying.
func (b *body) WriteTo(w io.Writer) (total int64, err error) {
	for {
		run := b.rest
		b.rest = nil
		if len(run) == 0 {
			if run, err = b.Next(); err == io.EOF {
				return total, nil
			} else if err != nil {
				return total, err
			}
		}
		n, err := w.Write(run)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (b *body) bare() bool {
	if b.bdat {
		return b.chunks.Bare()
	}
	return b.data.Bare()
}

// source reads the next run, whatever its size does to the limits. Its only
// errors are io.EOF and ErrAborted.
func (b *body) source() ([]byte, error) {
	for {
		run, err := b.run()
		switch {
		case err == nil:
			return run, nil
		case err != io.EOF:
			b.e.sum.Inside, b.e.sum.Bytes = true, b.e.tx.Size
			b.e.lost(err)
			return nil, ErrAborted
		case !b.bdat:
			return nil, io.EOF
		case b.last:
			if run := b.chunks.End(); run != nil {
				return run, nil
			}
			return nil, io.EOF
		}
		if err := b.nextChunk(); err != nil {
			return nil, err
		}
	}
}

func (b *body) run() ([]byte, error) {
	if b.bdat {
		return b.chunks.Next()
	}
	return b.data.Next()
}

// drain reads to the end what the session did not want, within bounds.
func (b *body) drain() {
	for b.err == nil {
		_, _ = b.Next()
	}
	if b.err != ErrTooBig {
		return
	}
	limits := &b.e.pub.Policy.Limits
	for b.e.tx.Size <= limits.MessageSize+limits.Overrun {
		run, err := b.source()
		if err == io.EOF {
			return
		}
		if err != nil {
			b.err = err
			return
		}
		b.e.tx.Size += int64(len(run))
	}
	b.e.end(Refused, nil) // after the reply
}

// nextChunk answers the chunk that was read and waits for the next one. Other
// commands are answered on the way, but those that begin something new end
// the message.
func (b *body) nextChunk() error {
	e := b.e
	e.state = stateChunk
	e.finish(accepted(b.chunks.Size()))
	for !e.over {
		line, ok := e.next()
		if !ok {
			continue
		}
		verb, args := wire.Split(line)
		switch i := e.srv.table.lookup(verb, e.cfg.Mode); {
		case i == bdatIndex:
			e.record(i, line)
			e.begin(i)
			if b.late() {
				e.hangUp(TimedOut, 4, 4, 2, "Error: timeout exceeded")
				return ErrAborted
			}
			r := e.check(i, line, verb)
			if !r.IsZero() {
				e.end(Refused, nil) // as in execute
			} else if r = b.chunk(args); r.IsZero() {
				return nil
			}
			e.finish(r)
			return ErrAborted
		case i != unknown && e.srv.table[i].aborts:
			e.stash, e.stashed = append(e.stash[:0], line...), true
			return ErrAborted
		default:
			e.execute(line)
		}
	}
	return ErrAborted
}

// late reports whether the chunks so far have come slower than content may:
// each of them alone would be given Timeouts.Data anew.
func (b *body) late() bool {
	t := &b.e.cfg.Timeouts
	if t.MinRate <= 0 {
		return false
	}
	earned := time.Duration(b.e.tx.Size/t.MinRate) * time.Second
	return time.Since(b.began) > t.Data+earned
}

// chunk begins a further chunk. A reply refuses it and with it the message.
func (b *body) chunk(args []byte) Reply {
	n, last, r := b.e.parseBdat(args)
	if !r.IsZero() {
		return r
	}
	b.last = last
	b.chunks.Start(n)
	b.e.expectChunk(n)
	if r := b.e.chunkRefusal(n, last); !r.IsZero() {
		b.e.swallow = !last
		return b.e.skipChunk(&b.chunks, r)
	}
	return Reply{}
}

func accepted(n int64) Reply {
	return MakeReply(250, 2, 0, 0, "Ok: "+strconv.FormatInt(n, 10)+" bytes")
}

// take hands the content to the session and returns the reply to it.
func (e *engine) take() Reply {
	res := e.hooks.Message(e.work, e.tx, &e.body)
	b := &e.body
	if b.bdat && e.cfg.Mode == SMTP && b.err == nil && res.Pending == nil && res.Reply.Code >= 400 {
		return e.dropRest(res.Reply)
	}
	b.drain()
	var r Reply
	switch b.err {
	case ErrAborted:
		e.endTx()
		return Reply{Code: said}
	case ErrTooBig:
		r = e.refusedFor(Unwanted, "END-OF-MESSAGE", e.cfg.Replies.DataTooBig, nil)
	case ErrBareLF:
		r = e.refusedFor(Unwanted, "END-OF-MESSAGE", e.cfg.Replies.BareLF, nil)
	}
	e.sum.After = "END-OF-MESSAGE"
	if e.cfg.Mode == LMTP {
		return e.answerEach(res, r)
	}
	if r.IsZero() {
		r = e.await(res.Verdict)
	}
	if r.IsZero() {
		r = e.cfg.Replies.Done
	}
	if r.OK() {
		e.junk = 0
	}
	e.endTx()
	return r
}

// dropRest refuses a message before all of its chunks were read.
func (e *engine) dropRest(r Reply) Reply {
	e.swallow = !e.body.last
	r = e.skipChunk(&e.body.chunks, r)
	e.endTx()
	return r
}

// answerEach sends one reply for each accepted recipient, in order, as they
// become known (RFC 2033 section 4.2). common, if not zero, goes for all.
func (e *engine) answerEach(res Result, common Reply) Reply {
	best := Reply{Code: 599}
	for i := range e.tx.Rcpts {
		r, v := common, res.Verdict
		if i < len(res.Each) {
			v = res.Each[i]
		}
		if r.IsZero() {
			r = e.await(v)
		} else if v.Pending != nil {
			e.await(v)
		}
		if r.IsZero() {
			r = e.cfg.Replies.Done
		}
		if r.Code < best.Code {
			best = r
		}
		e.out.reply(r)
	}
	e.account(e.current, best)
	e.junk = 0
	e.endTx()
	return Reply{Code: said}
}
