package deliverd

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// The classic forms are what Dovecot's lmtp writes.

// connected: a client has connected.
type connected struct {
	pid  int
	peer string
}

func (connected) Event() string     { return "connect" }
func (connected) Level() slog.Level { return slog.LevelInfo }
func (e connected) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyPeer, e.peer)}
}

func (e connected) Classic() (string, string) {
	return fmt.Sprintf("lmtp(%d)", e.pid), "Connect from " + e.peer
}

// disconnected: a connection has ended.
type disconnected struct {
	pid  int
	peer string
	conn string
	sum  server.Summary
}

func (disconnected) Event() string     { return "disconnect" }
func (disconnected) Level() slog.Level { return slog.LevelInfo }
func (e disconnected) Attrs() []slog.Attr {
	a := []slog.Attr{
		slog.String(obs.KeyConn, e.conn), slog.String(obs.KeyPeer, e.peer),
		slog.String("reason", e.sum.End.String()), slog.String("counts", e.sum.String()),
	}
	if e.sum.Err != nil {
		a = append(a, obs.Err(e.sum.Err))
	}
	return a
}

func (e disconnected) Classic() (string, string) {
	reason := "Connection closed"
	switch e.sum.End {
	case server.Quit:
		reason = "Logged out"
	case server.TimedOut:
		reason = "Disconnected for inactivity"
	case server.Shutdown:
		reason = "Server shutting down."
	}
	state := "READY"
	if e.sum.End != server.Quit && e.sum.After != "" {
		state = e.sum.After
	}
	return fmt.Sprintf("lmtp(%d)", e.pid), fmt.Sprintf("Disconnect from %s: %s (state=%s)", e.peer, reason, state)
}

// saved: a message is in a folder.
type saved struct {
	pid   int
	t     target
	id    string
	msgID string
	qid   string
	size  int64
	took  time.Duration
}

func (saved) Event() string     { return "message saved" }
func (saved) Level() slog.Level { return slog.LevelInfo }
func (e saved) Attrs() []slog.Attr {
	return append(deliveryAttrs(e.t, e.id, e.msgID, e.qid), slog.Int64(obs.KeySize, e.size), slog.Duration(obs.KeyDelay, e.took))
}

func (e saved) Classic() (string, string) {
	return fmt.Sprintf("lmtp(%s)<%d><%s>", e.t.user, e.pid, e.id), "msgid=" + unspecified(e.msgID) + ": saved mail to " + e.t.folder
}

// saveFailed: a message could not be stored; the sender was told to try again.
type saveFailed struct {
	pid   int
	t     target
	id    string
	msgID string
	qid   string
	err   error
}

func (saveFailed) Event() string     { return "save failed" }
func (saveFailed) Level() slog.Level { return slog.LevelError }
func (e saveFailed) Attrs() []slog.Attr {
	return append(deliveryAttrs(e.t, e.id, e.msgID, e.qid), obs.Err(e.err))
}

func (e saveFailed) Classic() (string, string) {
	return fmt.Sprintf("lmtp(%s)<%d><%s>", e.t.user, e.pid, e.id),
		"Error: msgid=" + unspecified(e.msgID) + ": save failed to " + e.t.folder + ": " + e.err.Error()
}

func deliveryAttrs(t target, id, msgID, qid string) []slog.Attr {
	return []slog.Attr{
		slog.String(obs.KeyConn, id), slog.String(obs.KeyQID, qid), slog.String(obs.KeyMsgID, msgID),
		slog.String(obs.KeyUser, t.user), slog.String(obs.KeyRcpt, t.rcpt.Path()), slog.String(obs.KeyFolder, t.folder),
	}
}

func unspecified(msgID string) string {
	if msgID == "" {
		return "unspecified"
	}
	return msgID
}
