package mtad

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// The events of a queued message: what Postfix's qmgr, smtp, lmtp, error and
// bounce write.

// observer turns what the queue tells into events.
type observer struct{ d *daemon }

// program is what Postfix's log calls the program behind a transport: copies of
// smtp and lmtp with their own syslog_name, and all of pipe, where relay= names
// the transport.
func (c *Config) program(transport string) string {
	own, ok := c.Transports[transport]
	switch {
	case !ok:
		return transport
	case own.Type == route.Pipe.String():
		return own.Type
	}
	return transport + "/" + own.Type
}

// Activated implements queue.Observer, as the methods below do.
func (o observer) Activated(id queue.ID, env *queue.Envelope, recipients int) {
	o.d.log.Log(&messageActive{id.String(), env.Sender, env.Size, recipients})
}

// Attempted logs one line for one recipient. A destination that is known to
// be down is Postfix's error transport at work.
func (o observer) Attempted(a *queue.Attempt) {
	r := a.Result
	cfg := &o.d.state.Load().cfg
	e := &attempted{
		QID: a.ID.String(), Rcpt: a.Recipient.Addr, Transport: a.Route.Transport, Relay: r.Relay, ConnUse: r.ConnUse,
		Delays: delays{a.Before, a.Queued, r.Connect, r.Send}, Digits: cfg.DelayDigits, DSN: r.Code.String(), Text: r.Reason, TLS: r.TLS, Status: "deferred",
	}
	if !a.Recipient.Original.Null() {
		e.Orig = a.Recipient.Original.String()
	}
	if e.Relay == "" {
		e.Relay = "none"
	}
	if a.Suspended || e.Transport == "" {
		e.Transport = "error"
	}
	e.Program = cfg.program(e.Transport)
	switch r.Status {
	case queue.Delivered:
		e.Status = "sent"
	case queue.Failed, queue.Expired:
		e.Status = "bounced"
	}
	o.d.log.Log(e)
}

// Expired says that the queue gave a message up.
func (o observer) Expired(id queue.ID, env *queue.Envelope, forced bool) {
	o.d.log.Log(messageExpired{id.String(), env.Sender, forced})
}

// Notified says that its sender is told something.
func (o observer) Notified(id queue.ID, kind queue.NoticeKind, notice queue.ID, msgID string) {
	name := "non-delivery"
	switch {
	case kind.Delay():
		name = "delay"
	case kind == queue.NoticeSuccess:
		name = "delivery status"
	}
	o.made(notice.String(), msgID)
	o.d.log.Log(notified{id.String(), name, notice.String(), msgID, kind.ForPostmaster()})
}

// made says that a message of our own has come into being, where lines of
// Postfix's are written: in others the line of its cause has the facts.
func (o observer) made(qid, msgID string) {
	if o.d.log.Echoes() {
		o.d.log.Log(messageMade{qid, msgID})
	}
}

// Discarded says that a notice to the postmaster is lost.
func (o observer) Discarded(id queue.ID) { o.d.log.Log(noticeDiscarded{id.String()}) }

// Removed says that a message is done with.
func (o observer) Removed(id queue.ID) {
	o.d.local.Removed(id)
	o.d.log.Log(messageRemoved{id.String()})
}

// TransportFailed says that nothing is tried over a transport for a while.
func (o observer) TransportFailed(name string, why error) {
	o.d.log.Log(transportFailed{name, why, fail.Is(why, fail.Unavailable)})
	if !fail.Is(why, fail.Unavailable) {
		o.d.log.Log(transportRests{name})
	}
}

// transportFailed: a transport does not work itself.
type transportFailed struct {
	Transport   string
	Err         error
	Unreachable bool
}

func (transportFailed) Event() string     { return "transport failed" }
func (transportFailed) Level() slog.Level { return slog.LevelWarn }
func (e transportFailed) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("transport", e.Transport), obs.Err(e.Err)}
}

func (e transportFailed) Classic() (string, string) {
	if e.Unreachable {
		return "postfix/qmgr", "warning: connect to transport private/" + e.Transport + ": " + e.Err.Error()
	}
	return "postfix/qmgr", "warning: private/" + e.Transport + " socket: " + e.Err.Error()
}

// transportRests: a transport that broke has a rest.
type transportRests struct{ Transport string }

func (transportRests) Event() string     { return "transport rests" }
func (transportRests) Level() slog.Level { return slog.LevelWarn }
func (e transportRests) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("transport", e.Transport)}
}

func (e transportRests) Classic() (string, string) {
	return "postfix/qmgr", "warning: transport " + e.Transport + " failure -- see a previous warning/fatal/panic logfile record for the problem description"
}

// messageActive: deliveries of a message begin.
type messageActive struct {
	QID    string
	Sender addr.Address
	Size   int64
	Rcpts  int
}

func (*messageActive) Event() string        { return "message active" }
func (*messageActive) Level() slog.Level    { return slog.LevelInfo }
func (e *messageActive) Attrs() []slog.Attr { return e.AppendAttrs(nil) }

// AppendAttrs implements obs.Frequent.
func (e *messageActive) AppendAttrs(dst []slog.Attr) []slog.Attr {
	return append(dst, slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyFrom, e.Sender.Path()),
		slog.Int64(obs.KeySize, e.Size), slog.Int("rcpts", e.Rcpts))
}

func (e *messageActive) Classic() (string, string) {
	return "postfix/qmgr", e.QID + ": from=" + e.Sender.Path() + ", size=" + strconv.FormatInt(e.Size, 10) +
		", nrcpt=" + strconv.Itoa(e.Rcpts) + " (queue active)"
}

// delays are the four spans Postfix logs.
type delays struct {
	Before, Queue, Connect, Transfer time.Duration
}

func (d delays) total() time.Duration { return d.Before + d.Queue + d.Connect + d.Transfer }

func (d delays) text(digits int) string {
	return seconds(d.Before, digits) + "/" + seconds(d.Queue, digits) + "/" + seconds(d.Connect, digits) + "/" + seconds(d.Transfer, digits)
}

// seconds renders a span as Postfix does: two significant digits, at most as
// many decimals as digits (delay_logging_resolution_limit), no trailing zeros,
// whole seconds from ten on.
func seconds(d time.Duration, digits int) string {
	s := math.Max(d.Seconds(), 0)
	scale, least := 1.0, 9.95
	for ; digits > 0 && s < least; digits-- {
		scale, least = scale*10, least/10
	}
	return strconv.FormatFloat(math.Round(s*scale)/scale, 'f', -1, 64)
}

// attempted: one delivery attempt of one recipient is over.
type attempted struct {
	QID       string
	Rcpt      addr.Address
	Orig      string // original recipient when it differs, without brackets
	Transport string // "smtp", "lmtp", "error", "discard"
	Program   string // in the tag
	Relay     string // "host[ip]:25" or "none"
	ConnUse   int    // shown when above 1
	Delays    delays
	Digits    int
	DSN       string
	Status    string // "sent", "deferred", "bounced"
	Text      string
	TLS       string
}

func (*attempted) Event() string        { return "delivery attempted" }
func (*attempted) Level() slog.Level    { return slog.LevelInfo }
func (e *attempted) Attrs() []slog.Attr { return e.AppendAttrs(nil) }

// AppendAttrs implements obs.Frequent.
func (e *attempted) AppendAttrs(dst []slog.Attr) []slog.Attr {
	dst = append(dst,
		slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyRcpt, e.Rcpt.Path()), slog.String("status", e.Status),
		slog.String("transport", e.Transport), slog.String(obs.KeyRelay, e.Relay), slog.String(obs.KeyDSN, e.DSN),
		slog.Duration(obs.KeyDelay, e.Delays.total()), slog.String("delays", e.Delays.text(e.Digits)), slog.String("text", e.Text))
	if e.Orig != "" {
		dst = append(dst, slog.String("orig_rcpt", e.Orig))
	}
	if e.TLS != "" {
		dst = append(dst, slog.String(obs.KeyTLS, e.TLS))
	}
	return dst
}

func (e *attempted) Classic() (string, string) {
	text := e.QID + ": to=" + e.Rcpt.Path()
	if e.Orig != "" {
		text += ", orig_to=<" + e.Orig + ">"
	}
	text += ", relay=" + e.Relay
	if e.ConnUse > 1 {
		text += ", conn_use=" + strconv.Itoa(e.ConnUse)
	}
	return "postfix/" + e.Program, text + ", delay=" + seconds(e.Delays.total(), e.Digits) + ", delays=" + e.Delays.text(e.Digits) +
		", dsn=" + e.DSN + ", status=" + e.Status + " (" + e.Text + ")"
}

// messageRemoved: the message has left the queue.
type messageRemoved struct{ QID string }

func (messageRemoved) Event() string     { return "message removed" }
func (messageRemoved) Level() slog.Level { return slog.LevelInfo }
func (e messageRemoved) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID)}
}
func (e messageRemoved) Classic() (string, string) { return "postfix/qmgr", e.QID + ": removed" }

// messageChanged: an operator did something to a message.
type messageChanged struct{ QID, What string }

func (messageChanged) Event() string     { return "message changed" }
func (messageChanged) Level() slog.Level { return slog.LevelInfo }
func (e messageChanged) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID), slog.String("change", e.What)}
}

func (e messageChanged) Classic() (string, string) { return "postfix/postsuper", e.QID + ": " + e.What }

// messageExpired: the message was retried for as long as it may be, or an
// operator has given it up.
type messageExpired struct {
	QID    string
	Sender addr.Address
	Forced bool
}

func (messageExpired) Event() string     { return "message expired" }
func (messageExpired) Level() slog.Level { return slog.LevelInfo }
func (e messageExpired) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyFrom, e.Sender.Path()), slog.String("status", e.status())}
}

func (e messageExpired) status() string {
	if e.Forced {
		return "force-expired"
	}
	return "expired"
}

func (e messageExpired) Classic() (string, string) {
	return "postfix/qmgr", e.QID + ": from=" + e.Sender.Path() + ", status=" + e.status() + ", returned to sender"
}

// notified: a delivery status notification was queued.
type notified struct {
	QID, Kind, NewQID string // kind: "non-delivery", "delay", "delivery status"
	NewMsgID          string
	Postmaster        bool // gets it, not the sender
}

func (notified) Event() string     { return "notification queued" }
func (notified) Level() slog.Level { return slog.LevelInfo }
func (e notified) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID), slog.String("notification", e.Kind), slog.String("new_qid", e.NewQID), slog.String("new_msgid", e.NewMsgID)}
}

func (e notified) Classic() (string, string) {
	to := "sender "
	if e.Postmaster {
		to = "postmaster "
	}
	return "postfix/bounce", e.QID + ": " + to + e.Kind + " notification: " + e.NewQID
}

// handshaken: TLS with another host was established, or was not.
type handshaken struct {
	remote.Handshake
	Program string // in the tag
}

func (handshaken) Event() string     { return "host tls" }
func (handshaken) Level() slog.Level { return slog.LevelInfo }
func (e handshaken) Attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("transport", e.Hop.Via()), slog.String(obs.KeyRelay, e.Peer)}
	if e.Err != nil {
		return append(attrs, obs.Err(e.Err))
	}
	return append(attrs, slog.String(obs.KeyTLS, tlsx.Brief(e.State)), slog.String("trust", e.Trust()))
}

func (e handshaken) Classic() (string, string) {
	tag := "postfix/" + e.Program
	if e.Err != nil {
		return tag, fmt.Sprintf("SSL_connect error to %s: %v", e.Peer, e.Err)
	}
	var server *x509.Certificate
	if len(e.State.PeerCertificates) > 0 {
		server = e.State.PeerCertificates[0]
	}
	return tag, e.Trust() + " TLS connection established to " + e.Peer + ": " + tlsx.Summary(e.State, server, nil)
}

// noticeDiscarded: a notice to the postmaster could not be delivered.
type noticeDiscarded struct{ QID string }

func (noticeDiscarded) Event() string     { return "notification discarded" }
func (noticeDiscarded) Level() slog.Level { return slog.LevelWarn }
func (e noticeDiscarded) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID)}
}

func (e noticeDiscarded) Classic() (string, string) {
	return "postfix/bounce", "warning: " + e.QID + ": undeliverable postmaster notification discarded"
}

// messageMade: a notification, or a message that goes on to somebody else, has
// come into being.
type messageMade struct{ QID, MsgID string }

func (messageMade) Event() string     { return "message made" }
func (messageMade) Level() slog.Level { return slog.LevelInfo }
func (e messageMade) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyQID, e.QID), slog.String(obs.KeyMsgID, e.MsgID)}
}

func (e messageMade) Classic() (string, string) {
	return "postfix/cleanup", e.QID + ": message-id=" + cmp.Or(e.MsgID, "<>")
}

// hostUnreachable: an address of a destination could not be connected to. What
// becomes of the message is told elsewhere.
type hostUnreachable struct{ Transport, Program, Relay, Why string }

func (hostUnreachable) Event() string     { return "host unreachable" }
func (hostUnreachable) Level() slog.Level { return slog.LevelInfo }
func (e hostUnreachable) Attrs() []slog.Attr {
	return []slog.Attr{slog.String("transport", e.Transport), slog.String(obs.KeyRelay, e.Relay), slog.String("text", e.Why)}
}

func (e hostUnreachable) Classic() (string, string) {
	return "postfix/" + e.Program, "connect to " + e.Relay + ": " + e.Why
}
