package authd

import (
	"bufio"
	"io"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxNetstring caps one request or reply; Postfix's socketmap client takes
// 100 000 bytes of reply, and an address has at most 320.
const maxNetstring = 4096

// readNetstring reads "<length>:<bytes>,". io.EOF means that the stream ended
// between two of them.
func readNetstring(r *bufio.Reader) (string, error) {
	length := 0
	for digits := 0; ; digits++ {
		c, err := r.ReadByte()
		if err != nil {
			if digits > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		if c == ':' && digits > 0 {
			break
		}
		if c < '0' || c > '9' || digits == 4 {
			return "", fail.New(fail.Invalid, "netstring without a length of at most 4 digits")
		}
		length = 10*length + int(c-'0')
	}
	if length > maxNetstring {
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

func appendNetstring(dst []byte, s string) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	dst = append(dst, s...)
	return append(dst, ',')
}
