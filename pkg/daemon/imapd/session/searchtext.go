package session

import (
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/platform/message"
)

// searchText streams what a text search looks at: the header if asked for,
// then every text part decoded, and the headers of embedded messages. A part
// that cannot be decoded ends early; the search goes on behind it.
func searchText(src io.ReaderAt, root *message.Part, header bool) io.Reader {
	var open []func() io.Reader
	for p := range root.Walk() {
		if p == root && header || p != root && p.Envelope != nil {
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
	h, err := message.HeaderAt(src, p, message.DefaultLimits())
	if err != nil {
		return strings.NewReader("")
	}
	var b strings.Builder
	for f := range h.Fields() {
		b.WriteString(f.Name + ": " + message.DecodeWords(f.Value()) + "\n")
	}
	return strings.NewReader(b.String())
}
