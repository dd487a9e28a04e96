package handover

import (
	"encoding/binary"
	"io"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxChunk bounds one chunk of a returnable stream.
const maxChunk = 16 << 10

// backLimit bounds the exchange in which a stream is given back.
const backLimit = 10 * time.Second

// Returnable is the session role's end of a stream that it may give back: what
// it writes goes out in chunks, so that the login role can tell the client's
// bytes from the word that the session is over and the client is not.
type Returnable struct{ net.Conn }

// NetConn is the connection below.
func (r *Returnable) NetConn() net.Conn { return r.Conn }

// Write writes b as chunks: 16 bits of length, and so many bytes.
func (r *Returnable) Write(b []byte) (int, error) {
	for done := 0; done < len(b); {
		piece := b[done:min(len(b), done+maxChunk)]
		var head [2]byte
		binary.BigEndian.PutUint16(head[:], uint16(len(piece)))
		parts := net.Buffers{head[:], piece}
		if _, err := parts.WriteTo(r.Conn); err != nil {
			return done, err
		}
		done += len(piece)
	}
	return len(b), nil
}

// Return gives the client back. leftover is what the session has read and not
// used; what comes until the login role has stopped its side is put behind it.
// The caller closes the stream then.
func (r *Returnable) Return(leftover []byte) error {
	if err := r.SetDeadline(time.Now().Add(backLimit)); err != nil {
		return err
	}
	if _, err := r.Conn.Write([]byte{0, 0}); err != nil {
		return fail.Wrap(fail.Unavailable, err, "giving a client back")
	}
	rest, err := io.ReadAll(io.LimitReader(r.Conn, MaxBuffered+1))
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "giving a client back")
	}
	all := append(append([]byte(nil), leftover...), rest...)
	if len(all) > MaxBuffered {
		return fail.New(fail.Invalid, "giving a client back: it has sent %d bytes ahead, the limit is %d", len(all), MaxBuffered)
	}
	_, err = r.Conn.Write(appendBytes(nil, all))
	return err
}

// Chunks takes the chunks of a returnable stream apart.
type Chunks struct {
	head int // bytes of the length that are there
	size uint16
	left int
}

// Strip returns the client's bytes in b, in place. back says that the session
// is over and b is at its end.
func (c *Chunks) Strip(b []byte) (payload []byte, back bool) {
	n := 0
	for i := 0; i < len(b); {
		if c.left > 0 {
			m := copy(b[n:], b[i:min(len(b), i+c.left)])
			n, i, c.left = n+m, i+m, c.left-m
			continue
		}
		c.size = c.size<<8 | uint16(b[i])
		i++
		if c.head++; c.head < 2 {
			continue
		}
		if c.left, c.head = int(c.size), 0; c.left == 0 {
			return b[:n], true
		}
		c.size = 0
	}
	return b[:n], false
}

// TakeBack ends the login role's side of a stream that was given back: nothing
// is written to it any more. It returns what the client has sent ahead.
func TakeBack(stream *net.UnixConn) ([]byte, error) {
	if err := stream.SetDeadline(time.Now().Add(backLimit)); err != nil {
		return nil, err
	}
	if err := stream.CloseWrite(); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "taking a client back")
	}
	b, err := io.ReadAll(io.LimitReader(stream, MaxBuffered+3))
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "taking a client back")
	}
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 || len(b)-2 > MaxBuffered {
		return nil, fail.New(fail.Invalid, "taking a client back: %d bytes that are not what was announced", len(b))
	}
	return b[2:], nil
}
