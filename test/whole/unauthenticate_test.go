package whole

import (
	"bufio"
	"compress/flate"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// gateway is a mail client that acts for several users over one connection.
type gateway struct {
	t    *testing.T
	conn net.Conn
	r    *bufio.Reader
	w    *flate.Writer // while the connection is compressed
	n    int
}

func (g *gateway) line() string {
	g.t.Helper()
	l, err := g.r.ReadString('\n')
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.TrimRight(l, "\r\n")
}

// put sends text, of which a compressed stream ends if it is last.
func (g *gateway) put(text string, last bool) {
	g.t.Helper()
	if g.w == nil {
		_, _ = io.WriteString(g.conn, text)
		return
	}
	_, _ = io.WriteString(g.w, text)
	if last {
		_ = g.w.Close()
	} else {
		_ = g.w.Flush()
	}
}

// ask sends a command and returns its untagged answers and the tagged one.
func (g *gateway) ask(command string) (untagged []string, tagged string) {
	g.t.Helper()
	g.n++
	tag := fmt.Sprintf("t%d ", g.n)
	g.put(tag+command+"\r\n", command == "UNAUTHENTICATE")
	for {
		l := g.line()
		if rest, ok := strings.CutPrefix(l, tag); ok {
			return untagged, rest
		}
		untagged = append(untagged, l)
	}
}

func (g *gateway) must(command string) []string {
	g.t.Helper()
	untagged, tagged := g.ask(command)
	if !strings.HasPrefix(tagged, "OK") {
		g.t.Fatalf("%s: %s", command, tagged)
	}
	return untagged
}

// compress begins COMPRESS; plain is what it stands on.
func (g *gateway) compress() (plain *bufio.Reader) {
	g.t.Helper()
	g.must("COMPRESS DEFLATE")
	plain = g.r
	g.r = bufio.NewReader(flate.NewReader(plain))
	g.w, _ = flate.NewWriter(g.conn, flate.DefaultCompression)
	return plain
}

// A client logs in as one user after the other on one connection (RFC 8437),
// with TLS and without, with COMPRESS and without: each sees the own mail, and
// nothing of the session before is left.
func TestUnauthenticate(t *testing.T) {
	s := start(t, suite.Options{Edit: map[string]func(string) string{"imapd-login": func(c string) string {
		return c + "\nimap_unauthenticate: true\n"
	}}})
	for name, dial := range map[string]func() (net.Conn, error){
		"TLS":   func() (net.Conn, error) { return tls.Dial("tcp", s.Addr(993), trust(t, s)) },
		"plain": func() (net.Conn, error) { return net.Dial("tcp", s.Addr(143)) },
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			g := &gateway{t: t, conn: conn, r: bufio.NewReader(conn)}
			g.line() // greeting
			for i := range 6 {
				a := s.Accounts[i%2]
				g.must("LOGIN " + a.Name + " " + a.Password)
				if caps := g.must("CAPABILITY"); !strings.Contains(caps[0]+" ", " UNAUTHENTICATE ") {
					t.Errorf("%q", caps)
				}
				var plain *bufio.Reader
				if i >= 2 {
					plain = g.compress()
				}
				folder := fmt.Sprintf("%s-%s%d", name, strings.Split(a.Name, "@")[0], i)
				g.must("CREATE " + folder)
				if got := strings.Join(g.must(`LIST "" "`+name+`-*"`), "\n"); strings.Count(got, "\n") != i/2 || !strings.Contains(got, folder) {
					t.Errorf("%s has\n%s", a.Name, got)
				}
				if _, tagged := g.ask("FETCH 1 FLAGS"); !strings.HasPrefix(tagged, "BAD No mailbox selected") {
					t.Errorf("a mailbox is selected after the login: %s", tagged)
				}
				g.must("SELECT " + folder)
				g.must("UNAUTHENTICATE")
				if plain != nil {
					if rest, err := io.ReadAll(g.r); err != nil || len(rest) > 0 {
						t.Fatalf("the compression does not end: %q, %v", rest, err)
					}
					g.r, g.w = plain, nil
				}
				if _, tagged := g.ask(`LIST "" *`); !strings.HasPrefix(tagged, "BAD") {
					t.Errorf("LIST without a login: %s", tagged)
				}
			}
			g.must("LOGOUT")
		})
	}
}
