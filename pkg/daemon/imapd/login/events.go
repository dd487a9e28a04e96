package login

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/obs"
)

// facts are what each event of a connection tells.
type facts struct {
	protocol string // "imap" or "pop3"
	session  string
	peer     netip.AddrPort
	local    netip.AddrPort
	user     string // as the client claims, or as authd says after a login
	method   string // SASL mechanism
	mpid     int    // process of the session role
	tls      string // words about the TLS connection
	fault    string // why TLS failed
	secured  bool
}

func (f facts) attrs(more ...slog.Attr) []slog.Attr {
	a := append(make([]slog.Attr, 0, 8+len(more)), slog.String("protocol", f.protocol), slog.String("session", f.session))
	for _, v := range []struct {
		key string
		ap  netip.AddrPort
	}{{obs.KeyPeer, f.peer}, {"local", f.local}} {
		if v.ap.IsValid() {
			a = append(a, slog.String(v.key, v.ap.Addr().String()))
		}
	}
	for _, v := range [][2]string{{obs.KeyUser, f.user}, {"method", f.method}, {obs.KeyTLS, f.tls}} {
		if v[1] != "" {
			a = append(a, slog.String(v[0], v[1]))
		}
	}
	return append(a, more...)
}

func (f facts) tag() string { return f.protocol + "-login" }

// elements is Dovecot's login_log_format_elements, which fail2ban's filter
// reads: empty ones are left out, but for the user.
func (f facts) elements() string {
	e := []string{"user=<" + clean(f.user) + ">"}
	if f.method != "" {
		e = append(e, "method="+clean(f.method))
	}
	if f.peer.IsValid() {
		e = append(e, "rip="+f.peer.Addr().String())
	}
	if f.local.IsValid() {
		e = append(e, "lip="+f.local.Addr().String())
	}
	if f.mpid != 0 {
		e = append(e, fmt.Sprintf("mpid=%d", f.mpid))
	}
	switch {
	case f.fault != "":
		e = append(e, "TLS handshaking: "+clean(f.fault))
	case f.tls != "":
		e = append(e, "TLS")
	case f.secured:
		e = append(e, "secured")
	}
	return strings.Join(append(e, "session=<"+f.session+">"), ", ")
}

// clean keeps a stranger's bytes from forging a log line or its fields.
func clean(s string) string {
	const limit = 256
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7F || r == '<' || r == '>' || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

// loggedIn: somebody has logged in and the session role serves them.
type loggedIn struct {
	facts
	took time.Duration
}

func (loggedIn) Event() string     { return "login" }
func (loggedIn) Level() slog.Level { return slog.LevelInfo }
func (e loggedIn) Attrs() []slog.Attr {
	return e.attrs(slog.Int("session_pid", e.mpid), slog.Duration("duration", e.took))
}

func (e loggedIn) Classic() (string, string) { return e.tag(), "Login: " + e.elements() }

// introduced: a client has said what it is, before anybody has logged in.
type introduced struct {
	facts
	id string
}

func (introduced) Event() string        { return "imap client identified" }
func (introduced) Level() slog.Level    { return slog.LevelInfo }
func (e introduced) Attrs() []slog.Attr { return e.attrs(slog.String("id", e.id)) }
func (e introduced) Classic() (string, string) {
	return e.tag(), "ID sent: " + e.id + ": " + e.elements()
}

// ending is why a connection ended without a login: the word for JSON and
// metrics.
type ending string

// The endings.
const (
	endNone     ending = "" // it did not: somebody logged in
	endClosed   ending = "closed"
	endReset    ending = "reset"
	endLogout   ending = "logout"
	endInactive ending = "inactive"
	endBad      ending = "bad commands"
	endTLS      ending = "tls failed"
	endShutdown ending = "shutdown"
	endPushed   ending = "queue full"
	endAddress  ending = "too many of address"
	endInternal ending = "internal"

	endUntrusted ending = "proxy not trusted"
	endNoHeader  ending = "no proxy header"
)

// text is how Dovecot's line begins.
func (e ending) text() string {
	switch e {
	case endReset:
		return "Disconnected: Connection closed: Connection reset by peer"
	case endLogout:
		return "Aborted login"
	case endInactive:
		return "Disconnected: Inactivity"
	case endBad:
		return "Disconnected: Too many invalid commands."
	case endShutdown:
		return "Disconnected: Shutting down"
	case endPushed:
		return "Disconnected: Connection queue full"
	case endAddress:
		return "Disconnected: Too many connections from this address"
	case endUntrusted:
		return "Disconnected: haproxy: Client not trusted"
	case endNoHeader:
		return "Disconnected: haproxy: Bad or missing PROXY header"
	case endInternal:
		return "Disconnected: Internal login failure"
	}
	return "Disconnected: Connection closed"
}

// disconnected: a connection ended without a login.
type disconnected struct {
	facts
	why      ending
	attempts int
	extra    string // Dovecot's words in brackets
	took     time.Duration
	err      error
}

func (disconnected) Event() string     { return "disconnected without a login" }
func (disconnected) Level() slog.Level { return slog.LevelInfo }
func (e disconnected) Attrs() []slog.Attr {
	a := e.attrs(slog.String("reason", string(e.why)), slog.Int("attempts", e.attempts), slog.Duration("duration", e.took))
	if e.err != nil {
		a = append(a, obs.Err(e.err))
	}
	return a
}

func (e disconnected) Classic() (string, string) {
	return e.tag(), fmt.Sprintf("%s (%s): %s", e.why.text(), e.extra, e.elements())
}

// handoverFailed: the login was right, but nobody could serve it.
type handoverFailed struct {
	facts
	err error
}

func (handoverFailed) Event() string        { return "handover failed" }
func (handoverFailed) Level() slog.Level    { return slog.LevelError }
func (e handoverFailed) Attrs() []slog.Attr { return e.attrs(obs.Err(e.err)) }
func (e handoverFailed) Classic() (string, string) {
	return e.tag(), fmt.Sprintf("Error: Internal login failure: %s: %s", clean(e.err.Error()), e.elements())
}

// extraWords is what Dovecot says in brackets about the attempts to log in.
func (c *client) extraWords(out outcome, now time.Time) string {
	r := c.relay
	secs := func(since time.Time) int { return int(now.Sub(since) / time.Second) }
	switch {
	case out.inAuth:
		return fmt.Sprintf("client didn't finish SASL auth, waited %d secs", secs(r.first))
	case r.succeeded > 0:
		return fmt.Sprintf("internal failure, %d successful auths", r.succeeded)
	case r.outage:
		return "auth service reported temporary failure"
	case out.attempts > 0:
		return fmt.Sprintf("auth failed, %d attempts in %d secs", out.attempts, secs(r.first))
	case out.exposed:
		return "tried to use disallowed plaintext auth"
	}
	return fmt.Sprintf("no auth attempts in %d secs", secs(c.started))
}
