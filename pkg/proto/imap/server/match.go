package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/collate"
)

// matching evaluates a search program, one message after the other. A search
// may have several at work.
type matching struct {
	ctx context.Context
	s   *call
	v   *view // as it was when the search began
	now int64 // seconds of Unix, for opAge
	i   int
	row Row
	buf *[]byte // of text searches, from the server's pool
	err error

	content Content
	failed  error // the first message that could not be read: one line in the log is enough
}

// matches reports whether row i of the view meets k. A message that cannot be
// read does not match; why is for the log.
func (m *matching) matches(i int, k *key) bool {
	m.i, m.err = i, nil
	m.row, _ = m.v.row(i)
	if m.row.UID == 0 {
		return false
	}
	met := m.eval(k)
	m.close()
	if m.err != nil {
		if !fail.Is(m.err, fail.NotFound) && m.failed == nil {
			m.failed = m.err
		}
		return false
	}
	return met
}

// close closes the message being looked at.
func (m *matching) close() {
	if m.content != nil {
		_ = m.content.Close()
		m.content = nil
	}
}

// release ends the matching.
func (m *matching) release() {
	m.close()
	if m.buf != nil {
		m.s.srv.searchBufs.Put(m.buf)
		m.buf = nil
	}
}

func (m *matching) open() Content {
	if m.content == nil {
		m.content = m.v.mb.Open(m.row.UID)
	}
	return m.content
}

func (m *matching) eval(k *key) bool {
	if m.err != nil {
		return false
	}
	switch k.op {
	case opAll:
		return true
	case opAnd:
		for i := range k.kids {
			if !m.eval(&k.kids[i]) {
				return false
			}
		}
		return true
	case opOr:
		for i := range k.kids {
			if m.eval(&k.kids[i]) {
				return true
			}
		}
		return false
	case opNot:
		return !m.eval(&k.kids[0])
	case opSet:
		return k.set.Contains(uint32(m.i + 1))
	case opUID:
		return k.set.Contains(m.row.UID)
	case opFlag:
		return m.row.System&k.flags != 0
	case opKeyword:
		return keywordIs(m.row, k.name)
	case opModSeq:
		return m.row.ModSeq >= uint64(k.n)
	case opRecent:
		return m.v.recent.Contains(m.row.UID)
	}
	return m.evalContent(k)
}

// evalContent looks at what may have to be read from the message.
func (m *matching) evalContent(k *key) bool {
	switch k.op {
	case opSaved, opEmailID, opThreadID:
		return m.evalDetail(k)
	case opSize:
		size := m.row.Size
		if size < 0 {
			size, m.err = m.open().Size(m.ctx)
		}
		return k.rel > 0 && size > k.n || k.rel < 0 && size < k.n
	case opDate, opAge:
		date := m.row.Date
		if date.IsZero() {
			date, m.err = m.open().Date(m.ctx)
		}
		if k.op == opAge { // RFC 5032 section 2
			at := m.now - k.n
			return k.rel < 0 && date.Unix() <= at || k.rel > 0 && date.Unix() >= at
		}
		return onDay(date, k.rel, k.date)
	case opSent:
		values, err := m.open().Fields(m.ctx, "Date")
		if m.err = err; err != nil || len(values) == 0 {
			return false
		}
		date, valid := message.ParseDate(values[0])
		return valid && onDay(date, k.rel, k.date)
	case opHeader:
		values, err := m.open().Fields(m.ctx, k.name)
		m.err = err
		for _, v := range values {
			if strings.Contains(collate.String(v), k.needle) {
				return true
			}
		}
		return false
	}
	r, err := m.open().Text(m.ctx, k.op == opText)
	if err != nil {
		m.err = err
		return false
	}
	return m.inText(r, k.needle)
}

// onDay compares days as they stand in the message, whatever the zone (RFC
// 3501 section 6.4.4, "disregarding time and timezone").
func onDay(t time.Time, rel int, day time.Time) bool {
	y, mon, d := t.Date()
	c := time.Date(y, mon, d, 0, 0, 0, 0, time.UTC).Compare(day)
	switch {
	case rel < 0:
		return c < 0
	case rel > 0:
		return c >= 0
	}
	return c == 0
}

// searchChunk is how much text is folded and searched at a time.
const searchChunk = 32 << 10

// inText looks for the folded needle in a stream of UTF-8.
func (m *matching) inText(r io.Reader, needle string) bool {
	if needle == "" {
		return true
	}
	if m.buf == nil {
		m.buf, _ = m.s.srv.searchBufs.Get().(*[]byte)
		if m.buf == nil {
			m.buf = new([]byte)
		}
	}
	found, err := contains(m.ctx, r, needle, m.buf)
	m.err = err
	return found
}

// contains searches r, which is folded on the way. buf is scratch space.
func contains(ctx context.Context, r io.Reader, needle string, buf *[]byte) (bool, error) {
	if cap(*buf) < 3*searchChunk {
		*buf = make([]byte, 3*searchChunk)
	}
	raw := (*buf)[:searchChunk]
	folded := (*buf)[searchChunk:searchChunk]
	rest := 0 // bytes of a rune that was cut
	for {
		n, err := r.Read(raw[rest:])
		n += rest
		whole := n
		if err == nil {
			whole = wholeRunes(raw[:n])
		}
		folded = collate.Append(folded, raw[:whole])
		if bytes.Contains(folded, []byte(needle)) {
			return true, nil
		}
		if keep := len(needle) - 1; len(folded) > keep {
			folded = append(folded[:0], folded[len(folded)-keep:]...)
		}
		rest = copy(raw, raw[whole:n])
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return false, err
		}
	}
}

// wholeRunes is the length of b without a rune at its end that was cut.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}
