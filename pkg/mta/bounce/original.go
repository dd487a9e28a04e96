package bounce

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// original is what comes back of the message. It is read twice: once to see
// what it needs, once to copy it.
type original struct {
	open       func() (*queue.Content, error)
	limit      int64
	utf8       bool // it was submitted with SMTPUTF8
	headerOnly bool

	boundary string // what begins a line that is none of the original's

	clash      bool // such a line is there
	header8Bit bool
	eightBit   bool // some byte of what comes back is beyond ASCII
	lost       string
}

func (o *original) mediaType() string {
	switch {
	case o.lost != "":
		return "text/plain; charset=us-ascii"
	case o.utf8 && o.header8Bit && o.headerOnly:
		return "message/global-headers"
	case o.utf8 && o.header8Bit:
		return "message/global"
	case o.headerOnly:
		return "text/rfc822-headers" // which has no parameters (RFC 6522 section 4)
	}
	return "message/rfc822"
}

func (o *original) description(k queue.NoticeKind) string {
	return pick(k.Failure() || k.Delay(), "Undelivered ", "") + "Message" + pick(o.headerOnly, " Headers", "")
}

// look reads what will be copied.
func (o *original) look() error {
	return o.without(o.each(func(line []byte, inHeader bool) error {
		o.clash = o.clash || bytes.HasPrefix(line, []byte(o.boundary))
		if has8bit(line) {
			o.eightBit = true
			o.header8Bit = o.header8Bit || inHeader
		}
		return nil
	}))
}

// without takes the error of reading the message. One that is damaged on disk
// must not keep its sender from being told: the report goes without it.
func (o *original) without(err error) error {
	if !fail.Is(err, fail.Corrupt) {
		return err
	}
	o.lost, o.eightBit, o.header8Bit = "The message can no longer be read.\r\n", false, false
	return nil
}

// sum is a name for the original that it cannot hold itself.
func (o *original) sum() (string, error) {
	h := sha256.New()
	err := o.each(func(line []byte, _ bool) error {
		_, err := h.Write(line)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)[:8]), o.without(err)
}

func (o *original) copy(w *bufio.Writer) error {
	if o.lost != "" {
		_, err := w.WriteString(o.lost)
		return err
	}
	return o.each(func(line []byte, _ bool) error {
		_, err := w.Write(line)
		return err
	})
}

// each hands over the lines that come back, pieces of at most 4 KiB if they
// are longer. Of a header alone no more than the limit comes back.
func (o *original) each(visit func(line []byte, inHeader bool) error) error {
	c, err := o.open()
	if err != nil {
		return err
	}
	defer c.Close()
	in := bufio.NewReaderSize(c.Reader(), 4<<10)
	inHeader, atStart, size := true, true, int64(0)
	for {
		piece, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if atStart && inHeader && isBlank(piece) {
			inHeader = false
		}
		size += int64(len(piece))
		if o.headerOnly && (!inHeader || size > o.limit) {
			return nil
		}
		if len(piece) > 0 {
			if err := visit(piece, inHeader); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		atStart = err == nil
	}
}

func isBlank(line []byte) bool { return string(line) == "\r\n" || string(line) == "\n" }
