package client

import (
	"context"
	"io"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// maxGroup bounds the octets of commands that are written before their
// replies are read. A group must fit into the buffers of both systems, or
// both sides could wait for each other to read (RFC 2920 section 3.1).
const maxGroup = 16 << 10

// Send runs one transaction. content is read only if some recipient was
// accepted, or if it is small and goes out with them; its lines may end in CRLF
// or LF. The results match env.To by
// index. err is nil, or a *SiteError (recipients whose Result is not Known
// share it), a *CapabilityError, a *ContentError, or of kind fail.Invalid for
// an address that cannot be written.
func (c *Conn) Send(ctx context.Context, env Envelope, content io.Reader) ([]Result, error) {
	t := &sending{c: c, ctx: ctx, verify: env.Verify, results: make([]Result, len(env.To))}
	if c.uses > 0 && c.in.Buffered() > 0 {
		c.Close() // it has said more than it was asked: whatever comes now could be about anything
	}
	if c.dead {
		return t.results, ErrClosed
	}
	if err := c.suits(&env); err != nil {
		return t.results, err
	}
	var err error
	if t.lines, err = c.lines(&env); err != nil {
		return t.results, err
	}
	if c.dirty {
		if err := c.Reset(ctx); err != nil {
			return t.results, err
		}
	}
	defer c.watch(ctx)()
	if err := c.forward(ctx, env.Forward); err != nil {
		return t.results, err
	}
	c.uses++
	if env.Chunks && !env.Verify && !c.cfg.LMTP && c.has("CHUNKING") {
		t.chunks = newChunks(c.maxLine(), content)
	}
	t.small = env.Size > 0 && env.Size <= maxGroup/2
	return t.results, t.run(content)
}

// sending is the progress of one transaction.
type sending struct {
	c        *Conn
	ctx      context.Context
	lines    []string // MAIL and the RCPTs
	results  []Result
	accepted []int   // indexes of recipients
	refused  bool    // MAIL was
	verify   bool    // recipients are all that is of interest
	chunks   *chunks // the content, when it goes by BDAT
	small    bool    // the content fits behind the recipients
}

func (t *sending) run(content io.Reader) error {
	c := t.c
	c.dirty = true
	pipelined := c.has("PIPELINING") && !c.cfg.SkipPipelining
	for next := 0; next < len(t.lines); {
		end := next + 1
		if pipelined {
			end = t.group(next)
		}
		tail := ""
		if pipelined && end == len(t.lines) && !t.verify {
			var err error
			if tail, err = t.tail(); err != nil {
				return err
			}
		}
		if err := t.exchange(next, end, tail); err != nil {
			return err
		}
		next = end
		if t.refused {
			break
		}
		if tail != "" {
			return t.data(content)
		}
	}
	if t.refused || t.verify || len(t.accepted) == 0 {
		return nil // RSET comes with the next use
	}
	if t.chunks != nil {
		return t.sendChunks(pipelined)
	}
	c.record("DATA")
	t.c.out.WriteString("DATA\r\n") //nolint:errcheck // flush returns it
	if err := c.flush(t.ctx, StageData); err != nil {
		return err
	}
	return t.data(content)
}

// tail is what goes out with the last group of commands: DATA, or a message
// that is one small chunk; or nothing.
func (t *sending) tail() (string, error) {
	if t.chunks == nil {
		return "DATA\r\n", nil
	}
	if !t.small {
		return "", nil
	}
	if err := t.chunks.fill(); err != nil {
		return "", err
	}
	if !t.chunks.last || t.chunks.buf.Len() > maxGroup {
		return "", nil
	}
	return t.chunks.take(), nil
}

// group returns the end of the group of lines that begins at next.
func (t *sending) group(next int) int {
	size := 0
	end := next
	for end < len(t.lines) && (end == next || size+len(t.lines[end]) <= maxGroup) {
		size += len(t.lines[end])
		end++
	}
	return end
}

// exchange sends lines, and tail behind them, and reads the replies to the
// lines.
func (t *sending) exchange(from, to int, tail string) error {
	c := t.c
	for _, line := range t.lines[from:to] {
		c.record(line)
		c.out.WriteString(line) //nolint:errcheck // flush returns it
	}
	if tail != "" {
		c.record(tail)
	}
	c.out.WriteString(tail) //nolint:errcheck // so here
	stage := StageRcpt
	if from == 0 {
		stage = StageMail
	}
	if err := c.flush(t.ctx, stage); err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if err := t.answered(i); err != nil {
			return err
		}
	}
	if t.refused && tail != "" {
		return t.discardData()
	}
	return nil
}

// answered reads the reply to line i.
func (t *sending) answered(i int) error {
	stage, timeout := StageRcpt, t.c.cfg.Timeouts.Rcpt
	if i == 0 {
		stage, timeout = StageMail, t.c.cfg.Timeouts.Mail
	}
	r, err := t.c.reply(t.ctx, stage, timeout)
	switch {
	case err != nil:
		return err
	case i == 0 && !r.OK():
		t.refused = true
		t.all(resultOf(r, StageMail))
	case i == 0 || t.refused:
	case r.OK() && !t.verify:
		t.accepted = append(t.accepted, i-1)
	default:
		t.results[i-1] = resultOf(r, StageRcpt)
	}
	return nil
}

// all gives every recipient that has no result yet this one.
func (t *sending) all(r Result) {
	for i := range t.results {
		if !t.results[i].Known() {
			t.results[i] = r
		}
	}
}

// data reads the reply to DATA and sends the content if it is wanted and
// anybody may have it. A message that went out as a chunk has its last reply
// already.
func (t *sending) data(content io.Reader) error {
	switch {
	case len(t.accepted) == 0:
		return t.discardData()
	case t.chunks != nil:
		return t.chunked(true)
	}
	r, err := t.c.reply(t.ctx, StageData, t.c.cfg.Timeouts.Data)
	if err != nil {
		return err
	}
	if r.Code != 354 {
		if r.Code < 400 {
			return t.c.lost(&SiteError{Stage: StageData, Reply: r, Err: wire.ErrBadReply})
		}
		t.all(resultOf(r, StageData))
		return nil
	}
	if err := t.content(content); err != nil {
		return err
	}
	return t.finals()
}

// discardData handles a DATA that went out with a group in which nobody was
// accepted. A server that wants content all the same gets a lone dot; as LMTP
// leaves open whether that has a reply, the session ends with it.
func (t *sending) discardData() error {
	if t.chunks != nil {
		return t.discardChunk()
	}
	r, err := t.c.reply(t.ctx, StageData, t.c.cfg.Timeouts.Data)
	if err != nil {
		return t.settled(err)
	}
	if r.Code != 354 {
		return nil
	}
	if t.c.cfg.LMTP {
		t.c.hangUp(".\r\nQUIT\r\n")
		return nil
	}
	_, err = t.c.command(t.ctx, StageEnd, t.c.cfg.Timeouts.Done, ".")
	return t.settled(err)
}

// settled drops an error that comes when all recipients have their results;
// the connection is closed, and that is all there is to know.
func (t *sending) settled(err error) error {
	for i := range t.results {
		if !t.results[i].Known() {
			return err
		}
	}
	return nil
}

// finals reads what is said after the final dot: one reply, or in LMTP one for
// each accepted recipient, in order (RFC 2033 section 4.2).
func (t *sending) finals() error {
	for n, i := range t.accepted {
		if n == 0 || t.c.cfg.LMTP {
			r, err := t.c.reply(t.ctx, StageEnd, t.c.cfg.Timeouts.Done)
			if err != nil {
				return err
			}
			if r.Code < 400 && !r.OK() {
				return t.c.lost(&SiteError{Stage: StageEnd, Reply: r, Err: wire.ErrBadReply})
			}
			t.results[i] = resultOf(r, StageEnd)
			continue
		}
		t.results[i] = t.results[t.accepted[0]]
	}
	t.c.dirty = false
	return nil
}
