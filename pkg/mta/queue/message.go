package queue

import (
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/spool"
)

// Message is one message being submitted. It is used by one goroutine and
// ends with Commit or Abort.
type Message struct {
	q       *Queue
	w       *spool.Writer
	headers []byte
	skip    int64
}

// Begin starts a message; size is the announced size in bytes, 0 when unknown.
// It fails with kind fail.Full when space is short (SMTP: "452 4.3.1
// Insufficient system storage") and with fail.Temporary while the disk does
// not work.
func (q *Queue) Begin(_ context.Context, size int64) (*Message, error) {
	w, err := q.spool.Begin(size)
	if err != nil {
		return nil, err
	}
	return &Message{q: q, w: w}, nil
}

// Room tells beforehand whether Begin would have room for a message of size bytes.
func (q *Queue) Room(size int64) error { return q.spool.Room(size) }

// ID is the message's queue id, final from the start.
func (m *Message) ID() ID { return m.w.ID() }

// Write takes the received message, header and body, with CRLF line ends and
// without SMTP transparency. It is kept byte for byte. After an error the
// message can only be aborted.
func (m *Message) Write(p []byte) (int, error) { return m.w.Write(p) }

// Size is the number of bytes written so far.
func (m *Message) Size() int64 { return m.w.Size() }

// SetHeaders sets what is sent before the received message: the headers that
// were added in front, complete lines with CRLF. If skip is not 0 they also
// stand for the first skip received bytes, which are then not sent (an edited
// header block). The last call counts.
func (m *Message) SetHeaders(headers []byte, skip int64) { m.headers, m.skip = headers, skip }

// Commit makes message and envelope durable and puts it into the queue. Until
// it returns nil the message is not accepted: an error means that it will not
// be delivered, and the submitter must be told so (kind fail.Full: 452 4.3.1,
// any other: 451 4.3.0). ctx is looked at before the first write only. The
// envelope belongs to the queue from here on.
func (m *Message) Commit(ctx context.Context, env *Envelope) error {
	e, err := m.w.Commit(ctx, env, m.headers, m.skip)
	if err != nil {
		m.q.metrics.refused.Inc()
		return err
	}
	if m.q.sched.arrived(e, env.Hold) {
		m.q.slowDown(ctx)
	}
	return nil
}

// slowDown is in_flow_delay. It ends early with ctx: the message is safe.
func (q *Queue) slowDown(ctx context.Context) {
	t := time.NewTimer(q.settings.Load().InFlowDelay.Std())
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Abort forgets the message. It may be called after Commit, where it does
// nothing, so that it can be deferred.
func (m *Message) Abort() { m.w.Abort() }

// Content is a stored message as it is sent: Headers, then Body. It was
// checked against its checksums when it was opened, small messages whole,
// large ones as they are read (a damaged one ends with an error of kind
// fail.Corrupt before its last byte).
type Content struct{ c *spool.Content }

// Headers are the added headers (see Message.SetHeaders).
func (c *Content) Headers() []byte { return c.c.Headers() }

// Body reads the received message from its beginning, without the part that
// Headers stand for.
func (c *Content) Body() io.Reader { return c.c.Body() }

// Reader reads Headers, then Body. Headers and Body have been read when it
// has been.
func (c *Content) Reader() io.Reader { return &wholeReader{headers: c.c.Headers(), body: c.c.Body()} }

// wholeReader is io.MultiReader without its buffer: a small body is written
// in one piece.
type wholeReader struct {
	headers []byte
	body    io.Reader
}

func (r *wholeReader) Read(p []byte) (int, error) {
	if len(r.headers) > 0 {
		n := copy(p, r.headers)
		r.headers = r.headers[n:]
		return n, nil
	}
	return r.body.Read(p)
}

// WriteTo writes what is left.
func (r *wholeReader) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(r.headers)
	r.headers = r.headers[n:]
	if err != nil {
		return int64(n), err
	}
	k, err := io.Copy(w, r.body)
	return int64(n) + k, err
}

// Size is the length of Headers and Body together.
func (c *Content) Size() int64 { return c.c.Size() }

// Close gives the message back; the files can then be reused.
func (c *Content) Close() error { return c.c.Close() }

// open is how jobs, notices and operators reach the content of e.
func (q *Queue) open(e *spool.Entry) (*Content, error) {
	c, err := q.spool.Open(e)
	if err != nil {
		return nil, err
	}
	return &Content{c}, nil
}
