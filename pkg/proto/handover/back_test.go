package handover

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// pair is a stream between the roles: the login role's end and the session's.
func pair(t *testing.T) (login *net.UnixConn, session *Returnable) {
	a, file, err := netx.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := netx.StreamConn(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, &Returnable{b}
}

// strip reads a stream in pieces until it is given back.
func strip(t *testing.T, login io.Reader, size int) string {
	var c Chunks
	var out bytes.Buffer
	buf := make([]byte, size)
	for {
		n, err := login.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		payload, back := c.Strip(buf[:n])
		if out.Write(payload); back {
			return out.String()
		}
	}
}

func TestGivenBack(t *testing.T) {
	for _, size := range []int{1, 3, 16 << 10} {
		login, session := pair(t)
		said := strings.Repeat("* 1 EXISTS\r\n", 2500)
		done := make(chan error, 1)
		go func() {
			_, err := session.Write([]byte("a OK\r\n"))
			if err == nil {
				_, err = session.Write([]byte(said))
			}
			if err == nil {
				err = session.Return([]byte("b LO"))
			}
			_ = session.Close()
			done <- err
		}()
		if got := strip(t, login, size); got != "a OK\r\n"+said {
			t.Fatalf("in pieces of %d: %d bytes", size, len(got))
		}
		_, _ = io.WriteString(login, "GIN x y\r\n") // what was on its way
		rest, err := TakeBack(login)
		if string(rest) != "b LOGIN x y\r\n" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestGivenBackWithTooMuch(t *testing.T) {
	login, session := pair(t)
	done := make(chan error, 1)
	go func() {
		done <- session.Return(make([]byte, MaxBuffered+1))
		_ = session.Close()
	}()
	strip(t, login, 10)
	if rest, err := TakeBack(login); !fail.Is(err, fail.Invalid) {
		t.Errorf("%d bytes, %v", len(rest), err)
	}
	if err := <-done; !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

// A session role that breaks off, or lies, gives nothing back.
func TestTakeBackRefuses(t *testing.T) {
	for _, text := range []string{"", "\x00", "\x00\x02a", "\x00\x01ab", "\xff\xff"} {
		login, session := pair(t)
		_, _ = io.WriteString(session.Conn, text)
		_ = session.Close()
		if rest, err := TakeBack(login); err == nil {
			t.Errorf("%q: %q", text, rest)
		}
	}
}

func FuzzChunks(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01x"), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, at uint8) {
		whole, pieces := new(Chunks), new(Chunks)
		want, back := whole.Strip(bytes.Clone(in))
		cut := min(int(at), len(in))
		first, early := pieces.Strip(bytes.Clone(in[:cut]))
		got := bytes.Clone(first)
		if !early {
			second, late := pieces.Strip(bytes.Clone(in[cut:]))
			got, early = append(got, second...), late
		}
		if !bytes.Equal(got, want) || back != early {
			t.Fatalf("%q and %v, in pieces %q and %v", want, back, got, early)
		}
	})
}
