package login

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/handover"
)

func loopback() []conf.Network { return []conf.Network{conf.MustNetwork("127.0.0.0/8")} }

// behind is a world whose listeners all want a PROXY header.
func behind(t *testing.T, change func(*Config)) *world {
	return newWorld(t, options{change: func(c *Config) {
		for _, e := range []*Endpoint{&c.IMAP, &c.IMAPS, &c.POP3, &c.POP3S} {
			e.HAProxy = true
		}
		c.HAProxyNetworks = loopback()
		if change != nil {
			change(c)
		}
	}})
}

// raw connects without TLS, whatever the door.
func (w *world) raw(door string) net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.doors[door].Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// last is the newest login, as authd and the session role saw it.
func (w *world) last() (*handover.Frame, authserver.Request) {
	f := <-w.session.frames
	all := w.authd.requests()
	return f, all[len(all)-1]
}

const v1 = "PROXY TCP4 192.0.2.1 198.51.100.7 4711 143\r\n"

// Behind a proxy the client is whom the header names: for the log, for authd,
// for the session role; also where TLS follows.
func TestProxyHeader(t *testing.T) {
	w := behind(t, func(c *Config) { c.AllowPlaintext = true })
	for _, door := range []string{"imap", "imaps", "pop3", "pop3s"} {
		c := w.raw(door)
		_, _ = io.WriteString(c, v1)
		if strings.HasSuffix(door, "s") {
			var err error
			if c, err = shake(c); err != nil {
				t.Fatal(err)
			}
		}
		logIn(t, c, door)
		f, r := w.last()
		if f.Peer.String() != "192.0.2.1:4711" || f.Local.String() != "198.51.100.7:143" || r.Remote != f.Peer || r.Local != f.Local ||
			!r.RealRemote.Addr().IsLoopback() || r.Secured != strings.HasSuffix(door, "s") || f.Secured != r.Secured {
			t.Errorf("%s: %+v %+v", door, f, r)
		}
	}
	if l := w.lines(1)[0]; !strings.Contains(l, "rip=192.0.2.1, lip=198.51.100.7") {
		t.Error(l)
	}
}

func logIn(t *testing.T, c net.Conn, door string) {
	t.Helper()
	r := bufio.NewReader(c)
	if l, err := r.ReadString('\n'); err != nil || !strings.Contains(l, "OK") {
		t.Fatalf("%s: greeting %q %v", door, l, err)
	}
	if strings.HasPrefix(door, "pop3") {
		fmt.Fprint(c, "USER alice\r\nPASS secret\r\n")
		_, _ = r.ReadString('\n')
	} else {
		fmt.Fprint(c, "a LOGIN alice secret\r\n")
	}
	if l, _ := r.ReadString('\n'); !strings.Contains(l, "OK") {
		t.Fatalf("%s: %q", door, l)
	}
}

// awaitLogin reads on to the success.
func awaitLogin(t *testing.T, r *bufio.Reader) {
	t.Helper()
	for l := ""; !strings.Contains(l, "OK Logged in"); {
		var err error
		if l, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

// TLS that the proxy ended counts as TLS; its check of health gets a greeting.
func TestProxyHeaderVersion2(t *testing.T) {
	w := behind(t, nil)
	c := w.raw("imap")
	_, _ = io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x1d\xc0\x00\x02\x01\xc6\x33\x64\x07\x12\x67\x00\x8f"+
		"\x02\x00\x06a.test"+"\x20\x00\x05\x01\x00\x00\x00\x00")
	logIn(t, c, "imap")
	if f, r := w.last(); !f.Secured || r.LocalName != "a.test" || f.Peer.Addr().String() != "192.0.2.1" {
		t.Errorf("%+v %+v", f, r)
	}
	c = w.raw("imap")
	_, _ = io.WriteString(c, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00")
	logIn(t, c, "imap")
	if f, _ := w.last(); f.Peer.String() != c.LocalAddr().String() {
		t.Errorf("%+v", f)
	}
}

// limits: haproxy_timeout, haproxy_trusted_networks.
func TestProxyHeaderRefused(t *testing.T) {
	for _, k := range []struct {
		name, send, want string
		change           func(*Config)
	}{
		{"no header", "a LOGIN alice secret\r\n", "haproxy: Bad or missing PROXY header", nil},
		{"nothing in time", "", "haproxy: Bad or missing PROXY header", func(c *Config) { c.HAProxyTimeout = conf.Duration(20 * time.Millisecond) }},
		{"a stranger", v1, "haproxy: Client not trusted", func(c *Config) { c.HAProxyNetworks = []conf.Network{conf.MustNetwork("192.0.2.0/24")} }},
	} {
		t.Run(k.name, func(t *testing.T) {
			w := behind(t, k.change)
			c := w.raw("imap")
			_, _ = io.WriteString(c, k.send)
			if got, _ := io.ReadAll(c); len(got) != 0 {
				t.Errorf("the client got %q", got)
			}
			if l := w.lines(1)[0]; !strings.Contains(l, k.want) {
				t.Error(l)
			}
		})
	}
}

// An address that a proxy names is no reason to take passwords in the clear,
// be it our own.
func TestProxiedIsNotLocal(t *testing.T) {
	w := behind(t, nil)
	c := w.raw("imap")
	_, _ = io.WriteString(c, "PROXY TCP4 127.0.0.1 127.0.0.1 4711 143\r\n")
	if l, _ := bufio.NewReader(c).ReadString('\n'); !strings.Contains(l, "LOGINDISABLED") {
		t.Errorf("%q", l)
	}
}

// A trusted proxy says by ID or XCLIENT who its client is.
func TestForwardedAddress(t *testing.T) {
	forward := base64.StdEncoding.EncodeToString([]byte("ja3=abc\tx=1"))
	for _, k := range []struct{ name, door, say, answer string }{
		{"ID", "imap", `i ID ("name" "proxy" "X-Originating-IP" "192.0.2.1" "x-originating-port" "4711" "x-connected-ip" "198.51.100.7" "x-connected-port" "143" "x-session-id" "outer/1" "x-forward-ja3" "abc")`, "i OK ID completed."},
		{"XCLIENT", "pop3", "XCLIENT ADDR=192.0.2.1 PORT=4711 DESTADDR=198.51.100.7 DESTPORT=143 SESSION=outer/1 TTL=4 FORWARD=" + forward, "+OK Updated"},
	} {
		t.Run(k.name, func(t *testing.T) {
			w := newWorld(t, options{remote: true, change: func(c *Config) { c.TrustedNetworks = loopback() }})
			c := w.dial(k.door)
			r := bufio.NewReader(c)
			greeting, _ := r.ReadString('\n')
			if k.door == "pop3" && !strings.HasPrefix(greeting, "+OK [XCLIENT] ") {
				t.Errorf("greeting %q", greeting)
			}
			fmt.Fprintf(c, "%s\r\n", k.say)
			l, _ := r.ReadString('\n')
			for strings.HasPrefix(l, "* ") {
				l, _ = r.ReadString('\n')
			}
			if strings.TrimSpace(l) != k.answer {
				t.Fatalf("%q", l)
			}
			if k.door == "pop3" {
				fmt.Fprint(c, "USER alice\r\nPASS secret\r\n")
			} else {
				fmt.Fprint(c, "a LOGIN alice secret\r\n")
			}
			awaitLogin(t, r)
			f, req := w.last()
			ja3 := req.Forward.Get("ja3")
			if f.Peer != netip.MustParseAddrPort("192.0.2.1:4711") || f.Local != netip.MustParseAddrPort("198.51.100.7:143") || f.Session != "outer/1" ||
				req.Remote != f.Peer || req.Session != f.Session || !req.RealRemote.Addr().IsLoopback() || ja3 != "abc" || !req.Secured {
				t.Errorf("%+v %+v", f, req)
			}
		})
	}
}

// A stranger who says the same is not believed.
func TestStrangersAreNotBelieved(t *testing.T) {
	w := newWorld(t, options{})
	c := w.dial("imap")
	fmt.Fprint(c, "i ID (\"x-originating-ip\" \"192.0.2.1\")\r\na LOGIN alice secret\r\n")
	awaitLogin(t, bufio.NewReader(c))
	if f, r := w.last(); f.Peer.String() != c.LocalAddr().String() || r.RealRemote.IsValid() {
		t.Errorf("%+v %+v", f, r)
	}
}

func TestForwardedValues(t *testing.T) {
	for _, k := range []struct {
		name, value string
		ok          bool
	}{
		{"addr", "192.0.2.1", true},
		{"addr", "::ffff:192.0.2.1", true},
		{"addr", "", false},
		{"addr", "mail.example", false},
		{"port", "65535", true},
		{"port", "65536", false},
		{"port", "-1", false},
		{"session", "abc", true},
		{"session", "a b", false},
		{"session", "", false},
		{"session", "a>, rip=1", false},
		{"session", strings.Repeat("s", 65), false},
		{"forward", "!", false},
		{"forward", base64.StdEncoding.EncodeToString(make([]byte, 1025)), false},
		{"x-forward-a\nb", "x", true},
		{"ttl", "4", true},
		{"name", "anything", true},
	} {
		var f forwarded
		if got := f.take(k.name, k.value); got != k.ok {
			t.Errorf("%s=%q: %v", k.name, k.value, got)
		}
		if len(f.fields) > 0 {
			t.Errorf("%s=%q is passed on", k.name, k.value)
		}
	}
}
