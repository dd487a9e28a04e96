package mtad

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// The events of receiving mail. Their classic form is what Postfix's smtpd,
// pickup and cleanup write, byte for byte: fail2ban and pflogsumm parse it.

// client is the peer of a session as logs name it.
type client struct {
	Service string // "smtpd", "submission/smtpd", "smtps/smtpd", "submit"
	Conn    string // connection id
	Name    string // forward-confirmed, or "unknown"
	IP      netip.Addr
	Port    uint16 // 0: not logged
	Local   bool   // by the submit socket
	UID     int
	text    string // String, where a session has made it already
	peer    string // and ip
}

// String is Postfix's NAME[IP], or NAME[IP]:PORT.
func (c client) String() string {
	switch {
	case c.text != "":
		return c.text
	case c.Local:
		return fmt.Sprintf("localhost[uid=%d]", c.UID)
	case c.Port != 0:
		return fmt.Sprintf("%s[%s]:%d", c.Name, c.ip(), c.Port)
	}
	return c.Name + "[" + c.ip() + "]"
}

// ip is the address's text; a proxy may not know one.
func (c client) ip() string {
	switch {
	case c.peer != "":
		return c.peer
	case !c.IP.IsValid():
		return "unknown"
	}
	return c.IP.Unmap().WithZone("").String()
}

// service is the listener as master.cf of Postfix names it: smtp, submission.
func (c client) service() string {
	if name, ok := strings.CutSuffix(c.Service, "/smtpd"); ok {
		return name
	}
	return strings.TrimSuffix(c.Service, "d")
}

func (c client) tag() string { return "postfix/" + c.Service }

func (c client) attrs(more ...slog.Attr) []slog.Attr {
	return c.appendAttrs(make([]slog.Attr, 0, 4+len(more)), more...)
}

// appendAttrs appends who it is, and more without its empty texts.
func (c *client) appendAttrs(dst []slog.Attr, more ...slog.Attr) []slog.Attr {
	peer := c.peer
	switch {
	case c.Local:
		peer = fmt.Sprintf("uid:%d", c.UID)
	case peer == "":
		peer = c.ip()
	}
	dst = append(dst, slog.String("listener", c.Service), slog.String(obs.KeyConn, c.Conn), slog.String(obs.KeyPeer, peer))
	if !c.Local {
		dst = append(dst, slog.String("name", c.Name))
	}
	if c.Port != 0 {
		dst = append(dst, slog.Int("port", int(c.Port)))
	}
	return appendGiven(dst, more...)
}

// appendGiven appends facts, but no empty texts.
func appendGiven(dst []slog.Attr, facts ...slog.Attr) []slog.Attr {
	for i := range facts {
		if v := &facts[i].Value; v.Kind() != slog.KindString || v.String() != "" {
			dst = append(dst, facts[i])
		}
	}
	return dst
}

// clientConnected: a session began.
type clientConnected struct{ client }

func (clientConnected) Event() string        { return "client connected" }
func (clientConnected) Level() slog.Level    { return slog.LevelInfo }
func (e clientConnected) Attrs() []slog.Attr { return e.attrs() }
func (e clientConnected) Classic() (string, string) {
	if e.Local { // Postfix's pickup has no connections
		return "", ""
	}
	return e.tag(), "connect from " + e.String()
}

// clientDisconnected: a session ended.
type clientDisconnected struct {
	client
	Summary  string // "ehlo=1 auth=0/1 commands=1/2"
	Duration time.Duration
}

func (clientDisconnected) Event() string     { return "client disconnected" }
func (clientDisconnected) Level() slog.Level { return slog.LevelInfo }
func (e clientDisconnected) Attrs() []slog.Attr {
	return e.attrs(slog.String("commands", e.Summary), slog.Duration("duration", e.Duration))
}

func (e clientDisconnected) Classic() (string, string) {
	if e.Local {
		return "", ""
	}
	return e.tag(), "disconnect from " + e.String() + " " + e.Summary
}

// connectionRefused: too many connections from one peer or in all.
type connectionRefused struct {
	client
	Why   netx.Reason
	Limit int // that was reached
}

func (connectionRefused) Event() string     { return "connection refused" }
func (connectionRefused) Level() slog.Level { return slog.LevelWarn }
func (e connectionRefused) Attrs() []slog.Attr {
	return e.attrs(slog.String("why", string(e.Why)), slog.Int("limit", e.Limit))
}

func (e connectionRefused) Classic() (string, string) {
	if e.Why != netx.TooManyFromPeer {
		return "postfix/master", fmt.Sprintf("warning: service %q has reached its process limit %q: new clients may experience noticeable delays", e.service(), strconv.Itoa(e.Limit))
	}
	return e.tag(), fmt.Sprintf("warning: Connection concurrency limit exceeded: %d from %s for service %s", e.Limit+1, e.client, e.service())
}

// rateExceeded: a client does more in a unit of time than it may.
type rateExceeded struct {
	client
	Kind   rate.Kind
	Number int
}

func (rateExceeded) Event() string     { return "rate exceeded" }
func (rateExceeded) Level() slog.Level { return slog.LevelWarn }
func (e rateExceeded) Attrs() []slog.Attr {
	return e.attrs(slog.String("what", e.Kind.String()), slog.Int("number", e.Number))
}

func (e rateExceeded) Classic() (string, string) {
	return e.tag(), fmt.Sprintf("warning: %s rate limit exceeded: %d from %s for service %s", e.Kind, e.Number, e.client, e.service())
}

// tlsEstablished: the handshake with a client is done.
type tlsEstablished struct {
	client
	TLS   string // version and cipher
	Text  string // the same as Postfix tells them
	Trust string // Postfix's word for the client's certificate
	Asked string // the name by which the client asked for ours, or ""
}

func (tlsEstablished) Event() string     { return "client tls established" }
func (tlsEstablished) Level() slog.Level { return slog.LevelInfo }
func (e tlsEstablished) Attrs() []slog.Attr {
	return e.attrs(slog.String(obs.KeyTLS, e.TLS))
}

func (e tlsEstablished) Classic() (string, string) {
	to := ""
	if e.Asked != "" {
		to = " to " + e.Asked
	}
	return e.tag(), fmt.Sprintf("%s TLS connection established from %s%s: %s", cmp.Or(e.Trust, "Anonymous"), e.client, to, e.Text)
}

// tlsFailed: a handshake with a client failed.
type tlsFailed struct {
	client
	Cause error
}

func (tlsFailed) Event() string        { return "client tls failed" }
func (tlsFailed) Level() slog.Level    { return slog.LevelInfo }
func (e tlsFailed) Attrs() []slog.Attr { return e.attrs(obs.Err(e.Cause)) }
func (e tlsFailed) Classic() (string, string) {
	cause := e.Cause.Error()
	if errors.Is(e.Cause, io.EOF) || errors.Is(e.Cause, syscall.ECONNRESET) {
		cause = "lost connection"
	}
	return e.tag(), "SSL_accept error from " + e.String() + ": " + cause
}

// foreignProtocol: a browser or a scanner talks to us.
type foreignProtocol struct {
	client
	Input string
}

func (foreignProtocol) Event() string        { return "foreign protocol" }
func (foreignProtocol) Level() slog.Level    { return slog.LevelWarn }
func (e foreignProtocol) Attrs() []slog.Attr { return e.attrs(slog.String("got", e.Input)) }
func (e foreignProtocol) Classic() (string, string) {
	return e.tag(), "warning: non-SMTP command from " + e.client.String() + ": " + e.Input
}

// nameMismatch: a PTR name did not lead back to the address.
type nameMismatch struct {
	client
	Claimed string
}

func (nameMismatch) Event() string        { return "client name not confirmed" }
func (nameMismatch) Level() slog.Level    { return slog.LevelInfo }
func (e nameMismatch) Attrs() []slog.Attr { return e.attrs(slog.String("claimed", e.Claimed)) }
func (e nameMismatch) Classic() (string, string) {
	return e.tag(), "warning: hostname " + e.Claimed + " does not resolve to address " + e.IP.Unmap().String()
}

// rejected: a stage refused a command.
type rejected struct {
	client
	QID    string // "" before the first accepted recipient
	Stage  string // "RCPT", "MAIL", "END-OF-MESSAGE", …
	Reply  string // "554 5.7.1 text"
	Sender *addr.Address
	Rcpt   *addr.Address
	Proto  string
	Helo   string
	Cause  error // what lies behind a temporary refusal
}

func (rejected) Event() string     { return "rejected" }
func (rejected) Level() slog.Level { return slog.LevelInfo }

func (e rejected) Attrs() []slog.Attr {
	out := e.attrs(slog.String(obs.KeyQID, e.QID), slog.String("stage", e.Stage), slog.String("reply", e.Reply))
	if e.Sender != nil {
		out = append(out, slog.String(obs.KeyFrom, e.Sender.Path()))
	}
	if e.Rcpt != nil {
		out = append(out, slog.String(obs.KeyRcpt, e.Rcpt.Path()))
	}
	out = append(out, slog.String("proto", e.Proto), slog.String("helo", e.Helo))
	if e.Cause != nil {
		out = append(out, obs.Err(e.Cause))
	}
	return out
}

func (e rejected) Classic() (string, string) {
	text := noqueue(e.QID) + ": reject: " + e.Stage + " from " + e.client.String() + ": " + e.Reply + ";"
	if e.Sender != nil {
		text += " from=" + e.Sender.Path()
	}
	if e.Rcpt != nil {
		text += " to=" + e.Rcpt.Path()
	}
	text += " proto=" + e.Proto
	if e.Helo != "" {
		text += " helo=<" + neuter(e.Helo) + ">"
	}
	return e.tag(), text
}

// neuter replaces what could end a name in a line and begin something else, as
// Postfix does, so that no client writes the lines that others act upon.
func neuter(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(` <>()\";@`, c) {
			return '?'
		}
		return c
	}, s)
}

func noqueue(qid string) string {
	if qid == "" {
		return "NOQUEUE"
	}
	return qid
}

// messageStarted: a message got its queue id. Postfix's smtpd says from whom it
// comes now; that is told once more of a message that is accepted.
type messageStarted struct {
	client
	QID    string
	Sender addr.Address
	source
}

// source is who has sent a message besides the client that brings it.
type source struct {
	Method string // SASL mechanism, "" without authentication
	User   string
	As     string          // who has submitted the message, as a client says (AUTH= of MAIL); printable
	For    *server.Forward // whose mail a filter brings back, or nil
}

func (messageStarted) Event() string     { return "message started" }
func (messageStarted) Level() slog.Level { return slog.LevelInfo }
func (e messageStarted) Attrs() []slog.Attr {
	return e.attrs(slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyFrom, e.Sender.Path()),
		slog.String("mech", e.Method), slog.String(obs.KeyUser, e.User), slog.String("sasl_sender", e.As),
		slog.String("orig_qid", e.origin().Ident), slog.String("orig_peer", e.origin().Addr))
}

func (s *source) origin() server.Forward {
	if s.For == nil {
		return server.Forward{}
	}
	return *s.For
}

func (e messageStarted) Classic() (string, string) {
	if e.Local {
		return "postfix/pickup", fmt.Sprintf("%s: uid=%d from=%s", e.QID, e.UID, e.Sender.Path())
	}
	text := e.QID + ": client=" + e.client.String()
	if e.User != "" {
		text += ", sasl_method=" + e.Method + ", sasl_username=" + e.User
	}
	if e.As != "" {
		text += ", sasl_sender=" + e.As
	}
	if e.origin().Ident != "" {
		text += ", orig_queue_id=" + e.For.Ident
	}
	if f := e.origin(); f.Name != "" || f.Addr != "" {
		text += ", orig_client=" + cmp.Or(f.Name, edge.Unknown) + "[" + cmp.Or(f.Addr, edge.Unknown) + "]"
	}
	return e.tag(), text
}

// etrnRefused: a client asked for the mail of a domain that is not its own.
type etrnRefused struct {
	client
	Domain string
}

func (etrnRefused) Event() string        { return "etrn refused" }
func (etrnRefused) Level() slog.Level    { return slog.LevelWarn }
func (e etrnRefused) Attrs() []slog.Attr { return e.attrs(slog.String("domain", e.Domain)) }
func (e etrnRefused) Classic() (string, string) {
	return e.tag(), "warning: reject: ETRN " + e.Domain + "... from " + e.String()
}

// proxyRefused: a connection to a listener behind a proxy that says nothing of
// its client, or comes from elsewhere.
type proxyRefused struct {
	client
	Err error
}

func (proxyRefused) Event() string        { return "proxy header refused" }
func (proxyRefused) Level() slog.Level    { return slog.LevelWarn }
func (e proxyRefused) Attrs() []slog.Attr { return e.attrs(obs.Err(e.Err)) }
func (e proxyRefused) Classic() (string, string) {
	return e.tag(), "warning: haproxy read: " + e.Err.Error()
}

// messageAccepted: the message is durable and the client knows it. It carries
// the line of Postfix's cleanup, which is the one that names the Message-ID.
type messageAccepted struct {
	client
	QID, MsgID string
	ResentID   string // "" for mail that nobody sent on
	Sender     addr.Address
	source
	Size  int64
	Rcpts int
}

func (*messageAccepted) Event() string        { return "message accepted" }
func (*messageAccepted) Level() slog.Level    { return slog.LevelInfo }
func (e *messageAccepted) Attrs() []slog.Attr { return e.AppendAttrs(nil) }

// AppendAttrs implements obs.Frequent.
func (e *messageAccepted) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = e.appendAttrs(dst, slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyMsgID, e.MsgID), slog.String(obs.KeyFrom, e.Sender.Path()),
		slog.String("mech", e.Method), slog.String(obs.KeyUser, e.User), slog.Int64(obs.KeySize, e.Size), slog.Int("rcpts", e.Rcpts))
	if e.ResentID != "" || e.As != "" {
		dst = appendGiven(dst, slog.String("resent_msgid", e.ResentID), slog.String("sasl_sender", e.As))
	}
	if e.For == nil {
		return dst
	}
	return appendGiven(dst, slog.String("orig_qid", e.For.Ident), slog.String("orig_peer", e.For.Addr))
}

func (e *messageAccepted) Classic() (string, string) {
	id := e.MsgID
	if id == "" {
		id = "<>"
	}
	return "postfix/cleanup", e.QID + ": message-id=" + id
}

// messageResent is what Postfix's cleanup writes of a Resent-Message-ID, of a
// message that is accepted.
type messageResent struct {
	client
	QID, ID string
}

func (messageResent) Event() string     { return "message resent" }
func (messageResent) Level() slog.Level { return slog.LevelInfo }
func (e messageResent) Attrs() []slog.Attr {
	return e.attrs(slog.String(obs.KeyQID, e.QID), slog.String("resent_msgid", e.ID))
}

func (e messageResent) Classic() (string, string) {
	return "postfix/cleanup", e.QID + ": resent-message-id=" + e.ID
}

// authFailed: a client could not log in.
type authFailed struct {
	client
	Mech, Reason, User string
	Cause              error // nil for wrong credentials
}

func (authFailed) Event() string     { return "login failed" }
func (authFailed) Level() slog.Level { return slog.LevelWarn }
func (e authFailed) Attrs() []slog.Attr {
	out := e.attrs(slog.String("mech", e.Mech), slog.String(obs.KeyUser, e.User), slog.String("reason", e.Reason))
	if e.Cause != nil {
		out = append(out, obs.Err(e.Cause))
	}
	return out
}

func (e authFailed) Classic() (string, string) {
	return e.tag(), "warning: " + e.client.String() + ": SASL " + e.Mech + " authentication failed: " + e.Reason +
		", sasl_username=" + cmp.Or(e.User, "(unavailable)")
}

// authAborted: a client began to log in and thought better of it.
type authAborted struct {
	client
	Mech string
}

func (authAborted) Event() string        { return "login aborted" }
func (authAborted) Level() slog.Level    { return slog.LevelWarn }
func (e authAborted) Attrs() []slog.Attr { return e.attrs(slog.String("mech", e.Mech)) }
func (e authAborted) Classic() (string, string) {
	return e.tag(), "warning: " + e.client.String() + ": SASL " + e.Mech + " authentication aborted"
}

// commandRefused: a command that says something which cannot be.
type commandRefused struct {
	client
	Text  string // Postfix's words
	Reply server.Reply
}

func (commandRefused) Event() string     { return "command refused" }
func (commandRefused) Level() slog.Level { return slog.LevelWarn }
func (e commandRefused) Attrs() []slog.Attr {
	return e.attrs(slog.String("text", e.Text), slog.String("reply", e.Reply.String()))
}

func (e commandRefused) Classic() (string, string) {
	return e.tag(), "warning: " + e.Text
}

// sessionBroken: the session ended in a way nobody asked for.
type sessionBroken struct {
	client
	What  string // "lost connection", "timeout", "too many errors", "improper command pipelining"
	After string // "RCPT", "DATA (1234 bytes)", "CONNECT"
	Tail  string // "" or what was received
}

func (sessionBroken) Event() string     { return "session broken" }
func (sessionBroken) Level() slog.Level { return slog.LevelInfo }
func (e sessionBroken) Attrs() []slog.Attr {
	return e.attrs(slog.String("what", e.What), slog.String(obs.KeyCmd, e.After), slog.String("got", e.Tail))
}

func (e sessionBroken) Classic() (string, string) {
	text := e.What + " after " + e.After + " from " + e.client.String()
	if e.Tail != "" {
		text += ": " + e.Tail
	}
	return e.tag(), text
}
