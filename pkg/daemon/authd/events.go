package authd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"
	"unicode"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
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
	parts := []string{oneWord(user)}
	if s.peer.IsValid() {
		parts = append(parts, s.peer.String())
	}
	if s.session != "" {
		parts = append(parts, "<"+oneWord(s.session)+">")
	}
	return by + "(" + strings.Join(parts, ",") + "): "
}

// oneWord is a name from a peer without what the prefix is made of: it must not
// hide an address from whoever reads the line, nor show another one.
func oneWord(name string) string {
	return strings.Map(func(c rune) rune {
		if c <= ' ' || strings.ContainsRune(",()<>", c) || unicode.IsSpace(c) || unicode.IsControl(c) {
			return '?'
		}
		return c
	}, name)
}

// subjectOf is whom a login is about.
func subjectOf(r *request.Request) subject {
	user := r.Claimed
	if user == "" {
		user = r.User
	}
	return subject{user: user, peer: r.Remote.Addr(), session: r.Session, service: r.Service, mech: r.Mech}
}

// authenticated: the password was right. The login process logs the login.
type authenticated struct {
	subject
	db     string
	label  string // of an app password
	master string // who logged in as another
	fields []account.Field
}

// newAuthenticated takes the facts of a login, and what the databases had to
// say for the log (event_*).
func newAuthenticated(r *request.Request, db, label string) authenticated {
	e := authenticated{subject: subjectOf(r), db: db, label: label, master: r.AuthUser}
	e.user = r.User
	for _, f := range r.Passdb {
		if key, ok := strings.CutPrefix(f.Key, "event_"); ok && len(e.fields) < maxEventFields {
			e.fields = append(e.fields, account.Field{Key: key, Value: f.Value})
		}
	}
	return e
}

// maxEventFields caps what databases add to a line.
const maxEventFields = 16

func (authenticated) Event() string { return "authenticated" }

// Level is that of what nobody need read; a master's login somebody should.
func (e authenticated) Level() slog.Level {
	if e.master != "" {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (e authenticated) Attrs() []slog.Attr {
	more := []slog.Attr{slog.String("db", e.db)}
	if e.label != "" {
		more = append(more, slog.String("app_password", e.label))
	}
	if e.master != "" {
		more = append(more, slog.String("master_user", e.master))
	}
	for _, f := range e.fields {
		more = append(more, slog.String("event_"+f.Key, f.Value))
	}
	return e.attrs(more...)
}

func (e authenticated) Classic() (string, string) {
	if e.master == "" {
		return "", ""
	}
	as := e.subject
	as.user = e.master
	return classicTag, as.prefix(e.db) + "Master user logging in as " + e.user
}

// refused: a database, or a rule, says that somebody may not log in.
type refused struct {
	subject
	db     string
	reason string
	detail string // may be empty
	level  slog.Level
}

func (refused) Event() string       { return "authentication failed" }
func (e refused) Level() slog.Level { return e.level }

func (e refused) Attrs() []slog.Attr {
	a := e.attrs(slog.String("db", e.db), slog.String("reason", e.reason))
	if e.detail != "" {
		a = append(a, slog.String("detail", e.detail))
	}
	return a
}

func (e refused) Classic() (string, string) { return classicTag, e.prefix(e.db) + e.reason }

// logRefusals logs what each database said: when the login failed, unless an
// entry's auth_verbose says otherwise. A login that failed where no database was
// asked is the mechanism's to report.
func (d *daemon) logRefusals(who subject, all []passdb.Refusal, err error) {
	failed := fail.Is(err, fail.Denied)
	for _, r := range all {
		level := slog.LevelInfo
		switch {
		case r.Verbose == passdb.VerboseNever:
			continue
		case !failed && r.Verbose != passdb.VerboseAlways:
			level = slog.LevelDebug
		}
		d.log.Log(refused{who, r.DB, r.Reason.String(), r.Detail, level})
	}
	why := passdb.RefusedOf(err)
	switch {
	case !failed:
	case why == nil:
		d.log.Log(refused{who, strings.ToLower(who.mech), err.Error(), "", slog.LevelInfo})
	case len(all) == 0:
		d.log.Log(refused{who, strings.ToLower(who.mech), why.Reason.String(), why.Detail, slog.LevelInfo})
	}
}

// failed remembers a refused login for the operator.
func (d *daemon) failed(who subject, err error) {
	why := err.Error()
	if r := passdb.RefusedOf(err); r != nil {
		why = r.Reason.String()
	}
	d.recent.Add(throttle.Failure{Time: d.now(), User: who.user, Addr: who.peer, Service: who.service, Reason: why})
}

// hostChanged: a server of a database went down, or is back.
type hostChanged struct {
	database, host string
	why            error // nil: it is back
}

func (e hostChanged) Event() string {
	if e.why == nil {
		return "database is back"
	}
	return "database is down"
}

func (e hostChanged) Level() slog.Level {
	if e.why == nil {
		return slog.LevelInfo
	}
	return slog.LevelError
}

func (e hostChanged) Attrs() []slog.Attr {
	a := []slog.Attr{slog.String("database", e.database), slog.String("host", e.host)}
	if e.why != nil {
		a = append(a, obs.Err(e.why))
	}
	return a
}

func (e hostChanged) Classic() (string, string) {
	if e.why == nil {
		return classicTag, fmt.Sprintf("%s(%s): Connected again", e.database, e.host)
	}
	return classicTag, fmt.Sprintf("Error: %s(%s): Connect failed: %v", e.database, e.host, e.why)
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

// logged is an error that has its line already.
type logged struct{ error }

func (e logged) Unwrap() error { return e.error }

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

func (dropped) Event() string { return "connection dropped" }

// Level is that of what nobody need read when the peer was gone before it had
// been told something: so are those that only look whether the socket answers.
func (e dropped) Level() slog.Level {
	if errors.Is(e.err, syscall.EPIPE) || errors.Is(e.err, syscall.ECONNRESET) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (e dropped) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("type", e.kind), slog.Int("peer_uid", e.uid), slog.Int("peer_pid", e.pid), obs.Err(e.err)}
}

func (e dropped) Classic() (string, string) {
	if e.Level() == slog.LevelDebug {
		return "", ""
	}
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
