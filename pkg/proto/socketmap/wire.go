package socketmap

import (
	"bufio"
	"errors"
	"io"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// MaxReply is what Postfix's client takes; nobody needs as much.
const MaxReply = 100000

// MaxRequest is ample for a map's name and an address of 320 bytes.
const MaxRequest = 4096

// Read reads one netstring, "<length>:<bytes>,", of at most limit bytes.
// io.EOF means that the stream ended between two of them.
func Read(r *bufio.Reader, limit int) (string, error) {
	length := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			if digits > 0 && errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if c == ':' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits == 6 {
			return "", fail.New(fail.Invalid, "netstring without a length of at most 6 digits")
		}
		length = 10*length + int(c-'0')
	}
	if length > limit {
		return "", fail.New(fail.Invalid, "netstring of %d bytes is too long", length)
	}
	buf := make([]byte, length+1)
	if _, err := io.ReadFull(r, buf); err != nil {
		return "", io.ErrUnexpectedEOF
	}
	if buf[length] != ',' {
		return "", fail.New(fail.Invalid, "netstring does not end with a comma")
	}
	return string(buf[:length]), nil
}

// Append appends s as a netstring.
func Append(dst []byte, s string) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	dst = append(dst, s...)
	return append(dst, ',')
}
