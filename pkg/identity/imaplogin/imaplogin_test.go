package imaplogin

import (
	"bufio"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// play is a server that follows a script: "S: " lines are sent, "C: " lines
// expected, "TLS" starts encryption. It returns the server's address.
func play(t *testing.T, script string, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		r := bufio.NewReader(c)
		for _, step := range strings.Split(strings.TrimSpace(script), "\n") {
			switch kind, text, _ := strings.Cut(step, " "); kind {
			case "S:":
				_, _ = c.Write([]byte(text + "\r\n"))
			case "TLS":
				c = tls.Server(c, config)
				r = bufio.NewReader(c)
			case "C:":
				got, err := r.ReadString('\n')
				if strings.TrimRight(got, "\r\n") != text {
					t.Errorf("client sent %q (%v), want %q", got, err, text)
					return
				}
			}
		}
	}()
	return l.Addr().String()
}

const loginDialogue = `S: * OK [CAPABILITY IMAP4rev1] ready
C: a1 LOGIN {17}
S: + go
C: alice@example.org {4}
S: + go
C: p"w\
`

func try(t *testing.T, script string, edit func(*Config), config *tls.Config) (passdb.Account, error) {
	t.Helper()
	c := DefaultConfig()
	c.Address, c.TLS, c.Timeout = play(t, script, config), tlsNone, conf.Duration(5*time.Second)
	if edit != nil {
		edit(&c)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d.Verify(t.Context(), &request.Request{User: "alice@example.org"}, `p"w\`)
}

func TestLogin(t *testing.T) {
	for _, tc := range []struct {
		name, script string
		kind         fail.Kind // of the error
		ok           bool
	}{
		{"right", loginDialogue + "S: * CAPABILITY IMAP4rev1\nS: a1 OK done\nC: z LOGOUT", 0, true},
		{"wrong", loginDialogue + "S: a1 NO [AUTHENTICATIONFAILED] no", fail.Denied, false},
		{"wrong, no code", loginDialogue + "S: a1 no sorry", fail.Denied, false},
		{"disabled there", loginDialogue + "S: a1 NO [AUTHORIZATIONFAILED] no", fail.Denied, false},
		{"server in trouble", loginDialogue + "S: a1 NO [UNAVAILABLE] try later", fail.Unavailable, false},
		{"too many connections", loginDialogue + "S: a1 NO [LIMIT] too many", fail.Unavailable, false},
		{"not understood", loginDialogue + "S: a1 BAD what", fail.Unavailable, false},
		{"refuses a literal", "S: * OK hi\nC: a1 LOGIN {17}\nS: a1 BAD no literals", fail.Unavailable, false},
		{"goes away", "S: * OK hi\nC: a1 LOGIN {17}\nS: * BYE shutdown", fail.Unavailable, false},
		{"closes", "S: * OK hi", fail.Unavailable, false},
		{"asks on and on", loginDialogue + "S: + more", fail.Unavailable, false},
		{"preauth", "S: * PREAUTH hi", fail.Unavailable, false},
		{"babbles", "S: * OK hi\nS: * " + strings.Repeat("x", 2*maxLine), fail.Unavailable, false},
		{"never comes to the point", "S: * OK hi\n" + strings.Repeat("S: * OK x\n", maxLines+1), fail.Unavailable, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := try(t, tc.script, nil, nil)
			if tc.ok != (err == nil) || (tc.ok && a.User != "alice@example.org") || (!tc.ok && !fail.Is(err, tc.kind)) {
				t.Errorf("%+v %v", a, err)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	certPEM, keyPEM, err := tlsx.SelfSigned([]string{"127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	with := func(mode, ca string) func(*Config) { return func(c *Config) { c.TLS, c.CAFile = mode, ca } }
	start := "S: * OK hi\nC: a1 STARTTLS\nS: a1 OK go\nTLS\n" + strings.SplitN(loginDialogue, "\n", 2)[1]
	if _, err := try(t, start+"S: a1 OK in", with(tlsStart, ca), server); err != nil {
		t.Error(err)
	}
	if _, err := try(t, "TLS\n"+loginDialogue+"S: a1 OK in", with(tlsImplicit, ca), server); err != nil {
		t.Error(err)
	}
	// An unknown certificate, no STARTTLS, and words put in before the handshake.
	for name, tc := range map[string]struct{ script, ca string }{
		"certificate": {"S: * OK hi\nC: a1 STARTTLS\nS: a1 OK go\nTLS", ""},
		"refused":     {"S: * OK hi\nC: a1 STARTTLS\nS: a1 NO no", ca},
		"injected":    {"S: * OK hi\nC: a1 STARTTLS\nS: a1 OK go\r\na1 OK in\nTLS", ca},
	} {
		if _, err := try(t, tc.script, with(tlsStart, tc.ca), server); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHangIsAnOutage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := DefaultConfig()
	c.Address, c.TLS, c.Timeout = l.Addr().String(), tlsNone, conf.Duration(50*time.Millisecond)
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(t.Context(), &request.Request{User: "a"}, "b"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func FuzzReply(f *testing.F) {
	f.Add("* OK hi\r\na1 OK in\r\n")
	f.Add("+ go\r\na1 NO [LIMIT] x\r\n")
	f.Fuzz(func(_ *testing.T, in string) {
		s := &session{r: bufio.NewReaderSize(strings.NewReader(in), maxLine)}
		_ = s.greeting()
		_, text, _ := s.reply("a1")
		serverState(text)
	})
}
