package fail

import (
	"errors"
	"io"
)

// Reader remembers the error of the reader below it, other than its end, so
// that after a copy it can be told from an error of the writer.
type Reader struct {
	R   io.Reader
	Err error
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.R.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.Err = err
	}
	return n, err
}
