package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// chunkSize is how much content a BDAT carries, or a little more; all of it
// is in memory. Most messages are one chunk.
const chunkSize = 64 << 10

// maxChunks is how many chunks may wait for their reply. The replies to so few
// fit into any buffer, so that the server never waits for us to read while we
// wait for it (RFC 2920 section 3.1).
const maxChunks = 8

// chunks is content that is cut for BDAT.
type chunks struct {
	src   io.Reader
	block []byte
	buf   bytes.Buffer // the next chunk
	out   *bufio.Writer
	lines *wire.DotWriter
	last  bool // buf ends the message
}

func newChunks(maxLine int, content io.Reader) *chunks {
	k := &chunks{src: content}
	k.out = bufio.NewWriter(&k.buf)
	k.lines = wire.NewChunkWriter(k.out, maxLine)
	return k
}

// fill reads the next chunk, unless there is one. Errors: *ContentError.
func (k *chunks) fill() error {
	if k.block == nil {
		k.block = make([]byte, blockSize)
	}
	for !k.last && k.buf.Len() < chunkSize {
		n, err := k.src.Read(k.block)
		_, _ = k.lines.Write(k.block[:n]) // to memory
		switch {
		case errors.Is(err, io.EOF):
			_ = k.lines.Close()
			k.last = true
		case err != nil:
			return &ContentError{Err: err}
		}
		_ = k.out.Flush()
	}
	return nil
}

// take returns the chunk with its command.
func (k *chunks) take() string {
	command := "BDAT " + strconv.Itoa(k.buf.Len())
	if k.last {
		command += " LAST"
	}
	text := command + "\r\n" + k.buf.String()
	k.buf.Reset()
	return text
}

// sendChunks sends the content. If reading it fails, the connection is closed
// before the last chunk: half a message must not look whole.
func (t *sending) sendChunks(pipelined bool) error {
	most := 1
	if pipelined {
		most = maxChunks
	}
	for waiting := 0; ; {
		if err := t.chunks.fill(); err != nil {
			t.c.Close()
			return err
		}
		last, may := t.chunks.last, most-1
		if last {
			may = 1 // that to the last chunk is read for itself
		}
		chunk := t.chunks.take()
		t.c.record(chunk)
		t.c.out.WriteString(chunk) //nolint:errcheck // flush returns it
		if err := t.c.flush(t.ctx, StageContent); err != nil {
			return byChunk(err)
		}
		for waiting++; waiting > may; waiting-- {
			if err := t.chunked(false); err != nil {
				return err
			}
			if t.refused {
				return t.drop(waiting - 1)
			}
		}
		if last {
			return t.chunked(true)
		}
	}
}

// chunked reads the reply to a chunk.
func (t *sending) chunked(last bool) error {
	stage := StageContent
	if last {
		stage = StageEnd
	}
	r, err := t.c.reply(t.ctx, stage, t.c.cfg.Timeouts.Done)
	switch {
	case err != nil:
		return byChunk(err)
	case r.Code < 400 && !r.OK():
		return byChunk(t.c.lost(&SiteError{Stage: stage, Reply: r, Err: wire.ErrBadReply}))
	case r.OK() && !last:
		return nil
	}
	for _, i := range t.accepted {
		t.results[i] = resultOf(r, StageChunk)
	}
	t.refused = !r.OK()
	t.c.dirty = t.refused
	if misunderstood(r.Code) {
		t.c.Close()
	}
	return nil
}

// drop reads the replies to chunks that are of no interest any more.
func (t *sending) drop(replies int) error {
	for ; replies > 0 && !t.c.dead; replies-- {
		if _, err := t.c.reply(t.ctx, StageContent, t.c.cfg.Timeouts.Done); err != nil {
			return t.settled(err)
		}
	}
	return nil
}

// discardChunk reads the reply to a chunk that went out with recipients of
// whom none was accepted.
func (t *sending) discardChunk() error {
	r, err := t.c.reply(t.ctx, StageEnd, t.c.cfg.Timeouts.Done)
	if err != nil {
		return t.settled(err)
	}
	if misunderstood(r.Code) && r.Code != 503 { // "no recipients" is 503, too
		t.c.Close()
	}
	return nil
}

// misunderstood reports whether a server answers BDAT as a command that it
// does not know. It then takes the content for commands, and nothing more must
// be said to it.
func misunderstood(code int) bool { return code >= 500 && code <= 504 }

// byChunk marks the error of a connection.
func byChunk(err error) error {
	var site *SiteError
	if errors.As(err, &site) {
		site.Chunk = true
	}
	return err
}
