package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/cache"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// imapContent shows one message to the IMAP engine. It opens the file only
// for what the index cannot answer, and once.
type imapContent struct {
	m    *mailbox.Mailbox
	snap *mailbox.Snapshot // that the session looks at; a newer one would let go of what was expunged
	uid  uint32
	file mailbox.File
	root *message.Part
	row  *mailbox.Message

	entry *cache.Entry
	ahead *mailbox.Ahead // of a command that reads many messages; else nil
	scans *sync.Pool     // see role
	scan  *scanner
}

var (
	_ server.Content = (*imapContent)(nil)
	_ server.Details = (*imapContent)(nil)

	_ server.FieldsAppender = (*imapContent)(nil)
)

// kept is what the cache has of the message; it is made when there is nothing.
// A reading that is brief has the header's part of it.
func (c *imapContent) kept(ctx context.Context) (*cache.Entry, error) {
	switch {
	case c.entry != nil:
	case c.ahead != nil:
		e, err := c.ahead.Entry(ctx, c.uid)
		if err != nil {
			return nil, err
		}
		c.entry = e
	default:
		e, err := c.m.Entry(ctx, c.uid)
		if err != nil {
			return nil, err
		}
		c.entry = &e
	}
	return c.entry, nil
}

func (c *imapContent) AppendEnvelope(ctx context.Context, dst []byte) ([]byte, error) {
	e, err := c.kept(ctx)
	if err != nil {
		return dst, err
	}
	return append(dst, e.Envelope...), nil
}

func (c *imapContent) AppendStructure(ctx context.Context, dst []byte, extended bool) ([]byte, error) {
	if !extended {
		return c.m.AppendBodyStructure(ctx, dst, c.uid, false)
	}
	e, err := c.kept(ctx)
	if err == nil && !e.Whole() {
		return c.m.AppendBodyStructure(ctx, dst, c.uid, true)
	}
	if err != nil {
		return dst, err
	}
	return append(dst, e.Structure...), nil
}

// resolve is what the index knows, completed from the file.
func (c *imapContent) resolve(ctx context.Context) (*mailbox.Message, error) {
	if c.row != nil {
		return c.row, nil
	}
	i, ok := c.snap.Find(c.uid)
	if !ok {
		return nil, fail.New(fail.NotFound, "message %d is gone", c.uid)
	}
	row, err := c.m.Resolve(ctx, c.snap, i)
	if err != nil {
		return nil, err
	}
	c.row = &row
	return c.row, nil
}

// Size is in the name of nearly every file: nothing is opened for it then.
func (c *imapContent) Size(ctx context.Context) (int64, error) {
	if c.row == nil {
		if i, ok := c.snap.Find(c.uid); ok {
			if m := c.snap.At(i); m.VSize >= 0 {
				return m.VSize, nil
			}
		}
	}
	row, err := c.resolve(ctx)
	if err != nil {
		return 0, err
	}
	return row.VSize, nil
}

func (c *imapContent) Date(ctx context.Context) (time.Time, error) {
	row, err := c.resolve(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return row.Date, nil
}

// open opens the file without parsing it.
func (c *imapContent) open(ctx context.Context) (err error) {
	if c.file == nil {
		c.file, err = c.m.OpenMessage(ctx, c.uid)
	}
	return err
}

// load is open for callers that need all of the message: a usual one is in
// memory then.
func (c *imapContent) load(ctx context.Context) (err error) {
	if c.scan == nil {
		if c.scan, _ = c.scans.Get().(*scanner); c.scan == nil {
			c.scan = new(scanner)
		}
	}
	if c.file == nil {
		c.file, err = c.m.LoadMessage(ctx, c.uid, &c.scan.mem)
	}
	return err
}

// parse opens the file and finds its parts: in the cache, if it can.
func (c *imapContent) parse(ctx context.Context) error {
	if c.root != nil {
		return nil
	}
	if err := c.open(ctx); err != nil {
		return err
	}
	if e, ok := c.m.Kept(c.uid); ok {
		if root, ok := e.Root(); ok && root.BodyEnd <= c.file.Size() {
			c.root = root
			return nil
		}
	}
	var once message.Parser
	parser := &once
	if c.scan != nil {
		parser = &c.scan.parser
	}
	var src io.Reader = io.NewSectionReader(c.file, 0, c.file.Size())
	if m, ok := c.file.(*message.Memory); ok {
		src = m
	}
	root, err := parser.Parse(src, message.DefaultLimits())
	if err == nil {
		c.root = root
	}
	return err
}

// Section needs no structure for the whole message, and only the header
// block for its fields, of which most are in the cache.
func (c *imapContent) Section(ctx context.Context, s message.Section) (server.Body, error) {
	if len(s.Path) == 0 {
		switch s.Kind {
		case message.SectionAll:
			return c.whole(ctx)
		case message.SectionHeaderFields:
			if raw, ok, err := c.fields(ctx, s.Fields...); ok || err != nil {
				return message.SelectFields(raw, s.Fields), err
			}
		}
		switch s.Kind {
		case message.SectionHeader, message.SectionHeaderFields, message.SectionHeaderFieldsNot:
			h, err := c.m.Header(ctx, c.uid)
			switch {
			case err != nil:
				return nil, err
			case s.Kind != message.SectionHeader:
				return message.FieldsBody(h, s.Fields, s.Kind == message.SectionHeaderFieldsNot), nil
			case !h.Truncated:
				return headerBody(h.Bytes()), nil
			}
		}
	}
	if err := c.parse(ctx); err != nil {
		return nil, err
	}
	b, err := message.OpenSection(c.file, c.root, s, message.DefaultLimits())
	if fail.Is(err, fail.NotFound) {
		// The engine takes NotFound for a message that is gone.
		return nil, fail.Wrap(fail.Invalid, err, "message %d", c.uid)
	}
	return b, err
}

// AppendFields has most fields in the cache.
func (c *imapContent) AppendFields(ctx context.Context, dst []byte, names []string) ([]byte, bool, error) {
	if c.ahead != nil {
		if picked := c.ahead.Fields(c.uid, names); picked != nil {
			return append(dst, picked...), true, nil
		}
	}
	raw, ok, err := c.fields(ctx, names...)
	if !ok || err != nil {
		return dst, false, err
	}
	return message.AppendFields(dst, raw, names), true, nil
}

// fields are header fields from the cache; false: it does not keep all of
// these.
func (c *imapContent) fields(ctx context.Context, names ...string) ([]byte, bool, error) {
	e, err := c.kept(ctx)
	if err != nil {
		return nil, false, err
	}
	raw, ok := e.Fields(names...)
	return raw, ok, nil
}

// headerBody is a header block as it was written, with CRLF line ends.
func headerBody(raw []byte) server.Body {
	bare := 0
	for i, b := range raw {
		if b == '\n' && (i == 0 || raw[i-1] != '\r') {
			bare++
		}
	}
	return message.WholeBody(bytes.NewReader(raw), int64(len(raw)), int64(len(raw)+bare))
}

func (c *imapContent) whole(ctx context.Context) (server.Body, error) {
	size, err := c.Size(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	return message.WholeBody(c.file, c.file.Size(), size), nil
}

// Text is what SEARCH BODY and TEXT look at. A message of usual size is read at
// once.
func (c *imapContent) Text(ctx context.Context, header bool) (io.Reader, error) {
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	if err := c.parse(ctx); err != nil {
		return nil, err
	}
	return searchText(c.file, c.root, header), nil
}

// scanner is what messages are read into, one after the other.
type scanner struct {
	parser message.Parser
	mem    message.Memory
}

func (c *imapContent) Fields(ctx context.Context, name string) ([]string, error) {
	h, err := c.header(ctx, name)
	if err != nil {
		return nil, err
	}
	var values []string
	for f := range h.All(name) {
		values = append(values, message.DecodeWords(f.Value()))
	}
	return values, nil
}

// header is a header with at least all fields of these names.
func (c *imapContent) header(ctx context.Context, names ...string) (message.Header, error) {
	raw, ok, err := c.fields(ctx, names...)
	if err != nil || !ok {
		return c.m.Header(ctx, c.uid)
	}
	return message.ParseHeader(raw, message.DefaultLimits()), nil
}

func (c *imapContent) Keys(ctx context.Context) (server.Keys, error) {
	h, err := c.header(ctx, cache.KeyFields()...)
	return digest.KeysOf(h), err
}

func (c *imapContent) Preview(ctx context.Context) (string, error) {
	e, err := c.m.Full(ctx, c.uid)
	return string(e.Preview), err
}

// Binary decodes a part twice: first to learn its size.
func (c *imapContent) Binary(ctx context.Context, path []int) (server.BinaryBody, error) {
	if err := c.parse(ctx); err != nil {
		return nil, err
	}
	return message.OpenBinary(c.file, c.root, path)
}

func (c *imapContent) EmailID(ctx context.Context) (string, error) {
	e, err := c.m.Full(ctx, c.uid)
	return string(e.EmailID), err
}

func (c *imapContent) Saved(context.Context) (time.Time, error) {
	i, ok := c.snap.Find(c.uid)
	if !ok {
		return time.Time{}, fail.New(fail.NotFound, "message %d is gone", c.uid)
	}
	return c.snap.SavedAt(i), nil
}

func (c *imapContent) Close() error {
	var err error
	if c.file != nil {
		err = c.file.Close()
		c.file = nil
	}
	if c.scan != nil {
		c.scans.Put(c.scan)
		c.scan = nil
	}
	return err
}

// Ahead has entries read before they are asked for.
func (b *imapMailbox) Ahead(ctx context.Context, uids imap.UIDSet, fields []string, brief bool) server.Reading {
	return &imapReading{Ahead: b.m.Ahead(ctx, set(uids), fields, brief), b: b}
}

// imapReading is a command that reads many messages, one after the other.
type imapReading struct {
	*mailbox.Ahead
	b   *imapMailbox
	one imapContent
}

func (r *imapReading) Open(uid uint32) server.Content {
	r.one = imapContent{m: r.b.m, snap: r.b.last.Load(), uid: uid, ahead: r.Ahead, scans: r.b.scans}
	return &r.one
}

func (b *imapMailbox) UIDs(s server.Snapshot) []uint32 { return s.(imapSnapshot).s.UIDs() }

// Select asks the index, or the cache's columns.
func (b *imapMailbox) Select(ctx context.Context, s server.Snapshot, q server.Query, hits, open server.Bits) {
	snap := s.(imapSnapshot).s
	switch q.Kind {
	case server.QueryFlags:
		clear(open)
		for _, n := range names() {
			if q.Flags&n.row != 0 {
				snap.SelectFlags(n.store, hits)
			}
		}
	case server.QueryReceived:
		snap.SelectDates(q.From, q.To, hits, open)
	case server.QuerySize:
		snap.SelectSizes(q.From, q.To, hits, open)
	case server.QuerySent:
		b.m.Search(ctx, snap, &cache.Query{Rel: q.Rel, Day: q.Day.Unix() / 86400}, hits, open)
	case server.QueryField:
		b.m.Search(ctx, snap, &cache.Query{Field: q.Field, Needle: []byte(q.Text)}, hits, open)
	}
}

// searchText streams what a text search looks at: the header if asked for,
// then every text part decoded, and the headers of embedded messages. A part
// that cannot be decoded ends early; the search goes on behind it.
func searchText(src io.ReaderAt, root *message.Part, header bool) io.Reader {
	var open []func() io.Reader
	for p := range root.Walk() {
		if header || p != root && p.Envelope != nil { // TEXT finds the name of a file in the header of its part
			open = append(open, func() io.Reader { return headerText(src, p) })
		}
		if p.IsMultipart() || p.Message != nil {
			continue
		}
		open = append(open, func() io.Reader {
			if r, ok := message.Text(src, p); ok {
				return r
			}
			return strings.NewReader("")
		})
	}
	return &pieces{open: open}
}

// pieces reads one source after the other, with a line end between them. It
// opens a source when it is reached, and an error in one is its end.
type pieces struct {
	open []func() io.Reader
	cur  io.Reader
}

func (t *pieces) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if t.cur == nil {
			if len(t.open) == 0 {
				return 0, io.EOF
			}
			t.cur, t.open = t.open[0](), t.open[1:]
		}
		n, err := t.cur.Read(p)
		if n > 0 {
			return n, nil
		}
		if err != nil {
			t.cur = nil
			p[0] = '\n'
			return 1, nil
		}
	}
}

// headerText is a header block with its encoded words decoded.
func headerText(src io.ReaderAt, p *message.Part) io.Reader {
	raw := make([]byte, min(p.BodyStart-p.HeaderStart, int64(message.DefaultLimits().HeaderBytes)))
	n, err := src.ReadAt(raw, p.HeaderStart)
	if err != nil && !errors.Is(err, io.EOF) {
		return strings.NewReader("")
	}
	return bytes.NewReader(message.AppendHeaderText(make([]byte, 0, n+n/8), raw[:n]))
}
