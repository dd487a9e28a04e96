package authd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// TestScripts plays testdata/*.txt at a running daemon. A script begins with
// the files "file NAME:" (lines below are indented; DIR is where they lie),
// then "authd.yaml:". A line "> " asks, the "< " lines below are the whole
// answer:
//
//	> MECH NAME PASSWORD [as=NAME] [KEY=VALUE]…   log in; keys: service, ip, real, cert, tls
//	> redeem                                      the last login, as imapd's session role does
//	> user NAME | exists NAME | pass NAME         the userdb protocol
//	> list MASK
//	> log                                         what was logged since the last one, but for files that were read
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, file, string(text))
		})
	}
}

func play(t *testing.T, file, text string) {
	s := &script{t: t}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		i++
		switch ask, isAsk := strings.CutPrefix(line, "> "); {
		case line == "" || line[0] == '#':
		case isAsk:
			var want []string
			for ; i < len(lines) && strings.HasPrefix(lines[i], "<"); i++ {
				want = append(want, strings.TrimPrefix(strings.TrimPrefix(lines[i], "<"), " "))
			}
			if got := s.ask(strings.Fields(ask)); strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("%s, %s\ngot:\n%s\nwant:\n%s", file, line, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		case strings.HasSuffix(line, ":"):
			body := ""
			for ; i < len(lines) && (lines[i] == "" || strings.HasPrefix(lines[i], "  ")); i++ {
				body += strings.TrimPrefix(lines[i], "  ") + "\n"
			}
			s.part(strings.TrimSuffix(line, ":"), body)
		default:
			t.Fatalf("%s: line %d: %q", file, i, line)
		}
	}
	if s.asked == 0 {
		t.Error("the script asks nothing")
	}
}

type script struct {
	t      *testing.T
	files  [][2]string
	w      *world
	auth   *authclient.Client
	last   authclient.Result
	logged int
	asked  int
}

// part takes a file, or starts the daemon.
func (s *script) part(name, body string) {
	if name != "authd.yaml" {
		s.files = append(s.files, [2]string{strings.TrimPrefix(name, "file "), body})
		return
	}
	s.files = append([][2]string{{"users", ""}}, s.files...)
	s.w = newWorld(s.t, func(c *authconf.Config) {
		dir := filepath.Dir(c.Users.File)
		for _, f := range s.files {
			if err := os.WriteFile(filepath.Join(dir, f[0]), []byte(strings.ReplaceAll(f[1], "DIR", dir)), 0o600); err != nil {
				s.t.Fatal(err)
			}
		}
		if strings.Contains(body, "passdb:") && strings.Contains(body, "userdb:") && !strings.Contains(body, "{driver: passwd-file}") {
			c.Users.File = "" // nothing would read it
		}
		listeners := c.Listeners
		if err := conf.Parse("authd.yaml", []byte(strings.ReplaceAll(body, "DIR", dir)), c); err != nil {
			s.t.Fatal(err)
		}
		c.Listeners = listeners
	})
	s.auth = authclient.New(authclient.Config{Address: s.w.path("login"), ChannelBinding: true})
	s.t.Cleanup(s.auth.Close)
}

func (s *script) ask(words []string) []string {
	s.asked++
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	switch words[0] {
	case "user":
		return s.record(s.w.userdb(authserver.Userdb).User(ctx, words[1], "lmtp"))
	case "exists":
		return s.record(s.w.userdb(authserver.Exists).User(ctx, words[1], "smtp"))
	case "pass":
		return s.record(s.w.userdb(authserver.Master).Pass(ctx, userdbclient.Query{User: words[1], Service: "imap"}))
	case "redeem":
		return s.record(s.w.userdb(authserver.Master).Redeem(ctx, s.last.PID, s.last.RequestID, s.last.Cookie, 0))
	case "list":
		var names []string
		for name, err := range s.w.userdb(authserver.Userdb).List(ctx, words[1]) {
			if err != nil {
				name = fail.KindOf(err).String()
			}
			names = append(names, name)
		}
		return names
	case "log":
		all := s.w.log.Classic()
		fresh := all[s.logged:]
		s.logged = len(all)
		return slices.DeleteFunc(fresh, func(line string) bool { return strings.Contains(line, ": Read ") })
	}
	return s.login(ctx, words)
}

func (s *script) record(r userdbclient.UserRecord, err error) []string {
	if err != nil {
		return []string{fail.KindOf(err).String()}
	}
	words := []string{r.User}
	if r.UID > 0 {
		words = append(words, fmt.Sprintf("uid=%d gid=%d", r.UID, r.GID))
	}
	if r.Home != "" {
		words = append(words, "home="+r.Home)
	}
	return []string{strings.Join(append(words, shownFields(r.Fields)...), " ")}
}

// shownFields leaves out what the record has shown and what never differs.
func shownFields(fs dovecotauth.Fields) []string {
	var words []string
	for _, f := range fs {
		switch f.Key {
		case "user", "uid", "gid", "home", "auth_mech", "mail":
		default:
			words = append(words, dovecotauth.Fields{f}.Params()...)
		}
	}
	return words
}

// channel stands for a TLS connection.
type channel struct{}

func (channel) ChannelBinding(kind string) ([]byte, error) { return []byte("bound by " + kind), nil }

func (s *script) login(ctx context.Context, words []string) []string {
	m, ok := sasl.Find(words[0])
	if !ok {
		s.t.Fatal("no mechanism ", words[0])
	}
	cred := sasl.Credentials{Authcid: words[1], Password: words[2], Token: words[2], Binder: channel{}}
	req := authclient.Request{Service: "imap", Session: "s", RemoteAddr: netip.MustParseAddrPort("192.0.2.1:4000"), Binding: channel{}.ChannelBinding}
	for _, w := range words[3:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "as":
			cred.Authzid = value
		case "service":
			req.Service = value
		case "ip":
			req.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(value), 4000)
		case "real":
			req.RealRemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(value), 4000)
		case "cert":
			req.ClientCert, req.CertUser = true, value
		case "tls":
			req.Secured, req.TLSProtocol = true, "TLSv1.3"
		case "secured":
			req.Secured = true
		default:
			s.t.Fatalf("what is %s?", w)
		}
	}
	var err error
	s.last, err = s.exchange(ctx, m, cred, req)
	if f := authclient.AsFailure(err); fail.Is(err, fail.Denied) {
		why := []string{"refused", f.User, f.Code, f.Reason}
		return []string{strings.Join(strings.Fields(strings.Join(why, " ")), " ")}
	}
	if err != nil {
		return []string{fail.KindOf(err).String()}
	}
	return []string{strings.Join(append([]string{"ok", s.last.User}, shownFields(s.last.Fields)...), " ")}
}

// exchange is a login by any mechanism.
func (s *script) exchange(ctx context.Context, m sasl.Mechanism, cred sasl.Credentials, req authclient.Request) (authclient.Result, error) {
	if m.Private {
		pid, conn, err := s.auth.Stamp(ctx)
		if err != nil {
			return authclient.Result{}, err
		}
		cred.Stamped = sasl.Stamp{PID: pid, Conn: conn}.Challenge(time.Now(), "rand", "localhost")
	}
	client := m.NewClient(cred)
	var err error
	if req.Mech, req.Initial, err = client.Start(); err != nil {
		return authclient.Result{}, err
	}
	x, step, err := s.auth.Start(ctx, req)
	for err == nil && !step.Done {
		var response []byte
		if response, err = client.Next(step.Challenge); err != nil {
			x.Cancel()
			return authclient.Result{}, err
		}
		step, err = x.Next(ctx, response)
	}
	if err == nil {
		err = sasl.Complete(client)
	}
	return step.Result, err
}
