package lookup

import (
	"context"
	"io"
	"iter"
	"path/filepath"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// indexed is a table of fixed keys from a text file.
type indexed struct {
	name string
	file *text.File[*text.Index]
	fold func(string) string
}

// openText makes a texthash table, or one of the types that Postfix compiles:
// their text source is read, and the compiled file is not needed.
func openText(name string, o Options) (Table, error) {
	if err := absolute(name); err != nil {
		return nil, err
	}
	fold := foldBytes
	if o.KeepCase {
		fold = nil
	}
	parse := func(in io.Reader, size int64) (*text.Index, error) {
		return text.ReadPairs(text.NewLines(name, in, o.Limits, o.Warn), size, fold)
	}
	return &indexed{name, text.NewFile(name, o.Limits, o.Now, parse), o.fold}, nil
}

// absolute: daemons have no working directory.
func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return fail.New(fail.Invalid, "%.200q is not an absolute path", path)
	}
	return nil
}

func (t *indexed) Lookup(_ context.Context, key string) (string, error) {
	x, err := t.file.Get()
	if err != nil {
		return "", err
	}
	value, found := x.Get(t.fold(key))
	if !found {
		return "", notFound(t.name)
	}
	return checked(t.name, value)
}

func (t *indexed) Check(context.Context) error {
	_, err := t.file.Get()
	return err
}

func (t *indexed) Entries(context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		x, err := t.file.Get()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for k, v := range x.All() {
			if !yield(Entry{k, v}, nil) {
				return
			}
		}
	}
}
