package session

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
)

// facts are common to the events of a session.
type facts struct {
	user    string
	pid     int
	session string
	peer    netip.Addr
	tls     string // version and cipher, empty without TLS
	took    time.Duration
}

func (f facts) attrs(more ...slog.Attr) []slog.Attr {
	peer := ""
	if f.peer.IsValid() {
		peer = f.peer.String()
	}
	return append(append(make([]slog.Attr, 0, 6+len(more)),
		slog.String(obs.KeyUser, f.user), slog.String("session", f.session), slog.String(obs.KeyPeer, peer), slog.String(obs.KeyTLS, f.tls), slog.Duration("duration", f.took),
	), more...)
}

func (f facts) tag(protocol string) string {
	return fmt.Sprintf("%s(%s)<%d><%s>", protocol, f.user, f.pid, f.session)
}

// imapClosed: an IMAP session has ended. Classic is Dovecot's line.
type imapClosed struct {
	facts
	sum server.Summary
}

func (imapClosed) Event() string     { return "imap session closed" }
func (imapClosed) Level() slog.Level { return slog.LevelInfo }
func (e imapClosed) Attrs() []slog.Attr {
	a := e.attrs(
		slog.String("reason", e.sum.Reason), slog.Int64("in", e.sum.In), slog.Int64("out", e.sum.Out),
		slog.Int("commands", e.sum.Commands), slog.Int("bad_commands", e.sum.BadCommands),
		slog.Int("deleted", e.sum.Deleted), slog.Int("expunged", e.sum.Expunged), slog.Int("trashed", e.sum.Trashed),
		slog.Int("hdr_count", e.sum.HdrCount), slog.Int64("hdr_bytes", e.sum.HdrBytes),
		slog.Int("body_count", e.sum.BodyCount), slog.Int64("body_bytes", e.sum.BodyBytes),
	)
	if e.sum.Err != nil {
		a = append(a, obs.Err(e.sum.Err))
	}
	return a
}

func (e imapClosed) Classic() (string, string) {
	return e.tag("imap"), fmt.Sprintf("Disconnected: %s in=%d out=%d deleted=%d expunged=%d trashed=%d hdr_count=%d hdr_bytes=%d body_count=%d body_bytes=%d",
		e.sum.Reason, e.sum.In, e.sum.Out, e.sum.Deleted, e.sum.Expunged, e.sum.Trashed, e.sum.HdrCount, e.sum.HdrBytes, e.sum.BodyCount, e.sum.BodyBytes)
}

// imapIdentified: a client has said what it is. Classic is Dovecot's line.
type imapIdentified struct {
	facts
	id string
}

func (imapIdentified) Event() string        { return "imap client identified" }
func (imapIdentified) Level() slog.Level    { return slog.LevelInfo }
func (e imapIdentified) Attrs() []slog.Attr { return e.attrs(slog.String("id", e.id)) }
func (e imapIdentified) Classic() (string, string) {
	return e.tag("imap"), "ID sent: " + e.id
}

// pop3Closed: a POP3 session has ended. Classic is Dovecot's line.
type pop3Closed struct {
	facts
	st    pop3.Stats
	words string // logout_format, filled in
}

func (pop3Closed) Event() string     { return "pop3 session closed" }
func (pop3Closed) Level() slog.Level { return slog.LevelInfo }
func (e pop3Closed) Attrs() []slog.Attr {
	return e.attrs(
		slog.String("reason", e.st.Reason), slog.Int("top", e.st.Top), slog.Int("retr", e.st.Retr), slog.Int64("retr_bytes", e.st.RetrBytes),
		slog.Int("deleted", e.st.Deleted), slog.Int("messages", e.st.Messages), slog.Int64("in", e.st.In), slog.Int64("out", e.st.Out),
	)
}

func (e pop3Closed) Classic() (string, string) {
	return e.tag("pop3"), "Disconnected: " + e.st.Reason + " " + e.words
}
