package authd

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// The classic forms are what Dovecot's auth process writes with
// auth_verbose=yes; fail2ban's and logwatch's dovecot filters parse them.

// classicTag makes the line begin with "dovecot: auth: ".
const classicTag = "auth"

// subject is whom an event is about.
type subject struct {
	user    string // canonical; empty when the peer did not get so far
	peer    netip.Addr
	session string
	service string
	mech    string
}

func (s subject) attrs(more ...slog.Attr) []slog.Attr {
	var a []slog.Attr
	for _, f := range []struct{ key, value string }{
		{obs.KeyUser, s.user}, {"session", s.session}, {"service", s.service}, {"mech", s.mech},
	} {
		if f.value != "" {
			a = append(a, slog.String(f.key, f.value))
		}
	}
	if s.peer.IsValid() {
		a = append(a, slog.String(obs.KeyPeer, s.peer.String()))
	}
	return append(a, more...)
}

// prefix is Dovecot's "passwd-file(alice,192.0.2.1,<session>): "; it leaves
// out what is not known.
func (s subject) prefix(by string) string {
	user := s.user
	if user == "" {
		user = "?"
	}
	parts := []string{user}
	if s.peer.IsValid() {
		parts = append(parts, s.peer.String())
	}
	if s.session != "" {
		parts = append(parts, "<"+s.session+">")
	}
	return by + "(" + strings.Join(parts, ",") + "): "
}

// authenticated: the password was right. The login process logs the login.
type authenticated struct{ subject }

func (authenticated) Event() string             { return "authenticated" }
func (authenticated) Level() slog.Level         { return slog.LevelDebug }
func (e authenticated) Attrs() []slog.Attr      { return e.attrs() }
func (authenticated) Classic() (string, string) { return "", "" }

// refused: somebody may not log in.
type refused struct {
	subject
	err error
}

func (refused) Event() string     { return "authentication failed" }
func (refused) Level() slog.Level { return slog.LevelInfo }

func (e refused) Attrs() []slog.Attr {
	return e.attrs(slog.String("reason", e.reason()))
}

func (e refused) reason() string {
	if r := passdb.RefusedOf(e.err); r != nil {
		return r.Reason.String()
	}
	return e.err.Error()
}

func (e refused) Classic() (string, string) {
	by := strings.ToLower(e.mech)
	if r := passdb.RefusedOf(e.err); r != nil {
		by = r.DB
	}
	return classicTag, e.prefix(by) + e.reason()
}

// undecided: nobody could say whether the password is right.
type undecided struct {
	subject
	err error
}

func (undecided) Event() string        { return "authentication not possible" }
func (undecided) Level() slog.Level    { return slog.LevelError }
func (e undecided) Attrs() []slog.Attr { return e.attrs(obs.Err(e.err)) }

func (e undecided) Classic() (string, string) {
	return classicTag, "Error: " + e.prefix(strings.ToLower(e.mech)) + e.err.Error()
}

// malformed: what a client sent is no response of its mechanism.
type malformed struct {
	subject
	err error
}

func (malformed) Event() string        { return "malformed authentication" }
func (malformed) Level() slog.Level    { return slog.LevelInfo }
func (e malformed) Attrs() []slog.Attr { return e.attrs(obs.Err(e.err)) }

func (e malformed) Classic() (string, string) {
	return classicTag, e.prefix(strings.ToLower(e.mech)) + "invalid input: " + e.err.Error()
}

// trouble: a request could not be answered as its peer hoped.
type trouble struct{ err error }

func (trouble) Event() string        { return "request failed" }
func (trouble) Level() slog.Level    { return slog.LevelWarn }
func (e trouble) Attrs() []slog.Attr { return []slog.Attr{obs.Err(e.err)} }

func (e trouble) Classic() (string, string) {
	return classicTag, "Warning: " + e.err.Error()
}

// dropped: a connection ended otherwise than by its peer's wish.
type dropped struct {
	kind string
	uid  int
	pid  int
	err  error
}

func (dropped) Event() string     { return "connection dropped" }
func (dropped) Level() slog.Level { return slog.LevelWarn }

func (e dropped) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("type", e.kind), slog.Int("peer_uid", e.uid), slog.Int("peer_pid", e.pid), obs.Err(e.err)}
}

func (e dropped) Classic() (string, string) {
	return classicTag, fmt.Sprintf("Warning: connection to socket of type %s (peer uid %d, pid %d) closed: %v", e.kind, e.uid, e.pid, e.err)
}

// lineProblem: a line of the users file is not in force.
type lineProblem struct{ p passwdfile.Problem }

func (lineProblem) Event() string     { return "users file has a mistake" }
func (lineProblem) Level() slog.Level { return slog.LevelError }

func (e lineProblem) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("file", e.p.File), slog.Int("line", e.p.Line), slog.String(obs.KeyErr, e.p.Text)}
}

func (e lineProblem) Classic() (string, string) {
	return classicTag, fmt.Sprintf("Error: passwd-file %s: line %d: %s", e.p.File, e.p.Line, e.p.Text)
}

// loaded: the users file was read.
type loaded struct {
	file            string
	users, problems int
}

func (loaded) Event() string     { return "users file read" }
func (loaded) Level() slog.Level { return slog.LevelInfo }

func (e loaded) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("file", e.file), slog.Int("users", e.users), slog.Int("problems", e.problems)}
}

func (e loaded) Classic() (string, string) {
	return classicTag, fmt.Sprintf("passwd-file %s: Read %d users", e.file, e.users)
}

func usersLoaded(log *obs.Logger, file string, s *passwdfile.Snapshot) {
	for _, p := range s.Problems {
		log.Log(lineProblem{p})
	}
	log.Log(loaded{file, len(s.Entries()), len(s.Problems)})
}
