package cf

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Client asks one database as one state of a file says. It is safe for
// concurrent use.
type Client interface {
	// Find adds what the database has for a key to the result. Errors:
	// fail.Invalid when the answer is of no use, any other is an outage.
	Find(ctx context.Context, key Address, into *Result) error
	// Ping reports whether the database can be asked.
	Ping(ctx context.Context) error
	// Close ends connections.
	Close()
}

// Connect makes a client of what a file says, and tells what all such files
// may say. It need not reach the database.
type Connect func(f *File, o lookup.Options) (Client, Common, error)

// Kind is one type of table that is described by a file.
type Kind struct {
	Name    string // as it stands before the colon
	Manual  string // what describes the file, for an operator who names none
	Connect Connect
}

// Open takes the path of a file. The table is an io.Closer.
func (k Kind) Open(name string, o lookup.Options) (lookup.Table, error) {
	if !filepath.IsAbs(name) {
		return nil, fail.New(fail.Invalid, "%.200q is not an absolute path of a file, see %s", name, k.Manual)
	}
	t := &table{kind: k, name: name, options: o}
	t.file = text.NewFile(name, o.Limits, o.Now, t.read)
	return t, nil
}

// table keeps the client of its file's last state.
type table struct {
	kind    Kind
	name    string
	options lookup.Options
	file    *text.File[*state]
	last    *state // of read, which is not called concurrently
}

type state struct {
	Client
	common Common
}

// read makes a client, which takes the place of the one before.
func (t *table) read(in io.Reader, _ int64) (*state, error) {
	f, err := Read(t.name, in, t.options.Warn)
	if err != nil {
		return nil, err
	}
	c, common, err := t.kind.Connect(f, t.options)
	if err != nil {
		return nil, err
	}
	t.closeLast()
	t.last = &state{c, common}
	return t.last, nil
}

func (t *table) closeLast() {
	if t.last != nil {
		t.last.Close()
		t.last = nil
	}
}

// Close ends connections; lookups fail from now on.
func (t *table) Close() error {
	t.file.Close()
	t.closeLast()
	return nil
}

// Lookup is lookup.Table's.
func (t *table) Lookup(ctx context.Context, key string) (string, error) {
	s, err := t.file.Get()
	if err != nil {
		return "", err
	}
	if !t.options.KeepCase {
		key = lookup.Fold(key)
	}
	// No database has such a key, and some take the question amiss.
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return "", fail.New(fail.NotFound, "%s: not found", t.name)
	}
	value, err := s.find(ctx, Split(key))
	if err != nil && !fail.Is(err, fail.NotFound) && !fail.Is(err, fail.Invalid) {
		err = t.outage(err)
	}
	return value, err
}

func (s *state) find(ctx context.Context, key Address) (string, error) {
	result := s.common.NewResult(key)
	yes, err := s.common.Domains.Allow(ctx, key)
	if err == nil && yes {
		err = s.Find(ctx, key, result)
	}
	if err != nil {
		return "", err
	}
	return result.Text()
}

// Check asks the database, whatever `domain` says.
func (t *table) Check(ctx context.Context) error {
	s, err := t.file.Get()
	if err != nil {
		return err
	}
	if err := s.Ping(ctx); err != nil {
		return t.outage(err)
	}
	return nil
}

func (t *table) outage(err error) error {
	return fail.Wrap(fail.Unavailable, err, "table %s:%s", t.kind.Name, t.name)
}
