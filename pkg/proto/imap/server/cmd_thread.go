package server

import (
	"context"

	"github.com/postcote/postcote/pkg/proto/imap/thread"
)

// THREAD: RFC 5256 section 3, and REFS of draft-ietf-morg-inthread.
//
//	thread = "THREAD" SP thread-alg SP charset 1*(SP search-key)
func parseThread(p *parser, uid bool) runner {
	c := &threadCmd{query: query{uid: uid, stages: 2}}
	p.charset = ""
	p.SP()
	switch p.Word() {
	case "ORDEREDSUBJECT":
		c.alg = thread.OrderedSubject
	case "REFERENCES":
		c.alg = thread.References
	case "REFS":
		c.alg = thread.Refs
	default:
		p.Fail("Unknown thread algorithm")
	}
	p.SP()
	c.inCharset(p)
	c.keys(p, p.searchWord())
	return c
}

type threadCmd struct {
	query
	alg thread.Algorithm
}

func (c *threadCmd) run(ctx context.Context, s *call) reply {
	v, rows, failed := c.find(ctx, s)
	if failed != nil {
		return *failed
	}
	var answer []byte
	s.away(func() { answer = c.thread(ctx, s, v, rows) })
	if s.stopped(ctx) {
		return none()
	}
	s.w.Raw("* THREAD")
	if len(answer) > 0 {
		s.w.Raw(" ")
		s.w.Bytes(answer)
	}
	s.w.CRLF()
	return ok("Thread completed.")
}

// thread returns the rows in threads, as they are written.
func (c *threadCmd) thread(ctx context.Context, s *call, v *view, rows []int32) []byte {
	t := thread.New(c.alg, len(rows))
	c.eachSortable(ctx, s, v, rows, true, func(_ int, k *sortable) {
		m := thread.Message{Sent: k.sent(), Subject: k.Subject, Reply: k.Reply, ID: k.MessageID, References: k.References}
		if c.alg == thread.Refs {
			m.Arrived = k.arrived()
		}
		t.Add(m)
	})
	if ctx.Err() != nil {
		return nil
	}
	return t.Forest().Append(nil, func(i int) uint32 { return c.number(v, rows[i]) })
}
