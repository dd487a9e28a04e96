package server

import (
	"bytes"
	"strconv"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// cmdBdat is BDAT (RFC 3030 section 2). The octets of a chunk follow whatever
// we think of it, so each refusal reads them first; after a refusal the other
// chunks of the message are dropped up to the last.
func (e *engine) cmdBdat(args []byte) Reply {
	n, last, r := e.parseBdat(args)
	if !r.IsZero() {
		return r
	}
	var chunk wire.Chunks
	chunk.Reset(e.in)
	chunk.Start(n)
	e.expectChunk(n)
	if e.swallow {
		e.swallow = !last
		return e.skipChunk(&chunk, MakeReply(551, 5, 0, 0, "Discarded "+strconv.FormatInt(n, 10)+" bytes after earlier error"))
	}
	if r := e.chunkRefusal(n, last); !r.IsZero() {
		e.swallow = !last
		r = e.skipChunk(&chunk, r)
		e.endTx()
		return r
	}
	e.tx.BDAT = true
	if r := e.admitContent(); r.Code != 354 {
		e.swallow = !last
		return e.skipChunk(&chunk, r)
	}
	e.body.openBdat(e, n, last)
	return e.take()
}

// parseBdat reads "size [LAST]". Without a size nobody knows where the next
// command begins, so the connection ends.
func (e *engine) parseBdat(args []byte) (n int64, last bool, r Reply) {
	if !e.pub.Policy.Words.Chunking {
		return 0, false, e.refused("BDAT", MakeReply(521, 5, 5, 1, "Error: command not implemented"), args)
	}
	size, word, found := bytes.Cut(args, []byte(" "))
	n, ok := wire.Digits(size)
	if last = found && equalFold(bytes.TrimSpace(word), "LAST"); !ok || found && !last {
		return 0, false, e.refusedFor(BadChunk, "BDAT", MakeReply(521, 5, 5, 4, "Syntax: BDAT count [LAST]"), args)
	}
	return n, last, Reply{}
}

// expectChunk begins the wait for n octets. A client that does not pipeline
// gets the replies before them first.
func (e *engine) expectChunk(n int64) {
	if int64(e.in.Buffered()) < n {
		e.out.flush()
	}
	e.src.content(e.cfg.Timeouts.Data, e.cfg.Timeouts.MinRate)
}

// chunkRefusal is what is wrong with a well-formed BDAT.
func (e *engine) chunkRefusal(n int64, last bool) (r Reply) {
	limit := e.pub.Policy.Limits.MessageSize
	switch {
	case e.state&(stateRcpt|stateChunk) == 0:
		return e.refused("BDAT", e.outOfState(&e.srv.table[bdatIndex]), nil)
	case n == 0 && !last:
		r = e.cfg.Replies.EmptyChunk
	case limit > 0 && n > limit-e.tx.Size:
		r = e.cfg.Replies.ChunkTooBig
	default:
		return Reply{}
	}
	return e.refusedFor(BadChunk, "BDAT", r, nil)
}

// skipChunk drops the rest of a chunk and returns r, unless the session ended.
func (e *engine) skipChunk(chunk *wire.Chunks, r Reply) Reply {
	if chunk.Left() > e.pub.Policy.Limits.Overrun+e.pub.Policy.Limits.MessageSize {
		e.end(Refused, nil)
		return r
	}
	if err := chunk.Skip(); err != nil {
		e.lost(err)
		return Reply{Code: said}
	}
	return r
}
