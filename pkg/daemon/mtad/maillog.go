package mtad

import (
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// mailLog is the queue's Observer: what becomes of a message, in the log.
type mailLog struct{ log *obs.Logger }

// Activated implements queue.Observer, as the methods below do.
func (m mailLog) Activated(id queue.ID, env *queue.Envelope, recipients int) {
	m.log.Log(messageActive{QID: id.String(), Sender: env.Sender, Size: env.Size, Rcpts: recipients})
}

func (m mailLog) Attempted(a *queue.Attempt) {
	e := attempted{
		QID: a.ID.String(), Rcpt: a.Recipient.Addr, Transport: a.Route.Transport, Relay: a.Result.Relay, ConnUse: a.Result.ConnUse,
		Delays: delays{Before: a.Before, Queue: a.Queued, Connect: a.Result.Connect, Transfer: a.Result.Send},
		DSN:    a.Result.Code.String(), Text: a.Result.Reason, TLS: a.Result.TLS,
	}
	if e.Relay == "" {
		e.Relay = "none"
	}
	if a.Suspended || e.Transport == "" {
		e.Transport = "error" // Postfix leaves what it does not try to its error(8)
	}
	if !a.Recipient.Original.Null() {
		e.Orig = a.Recipient.Original.String()
	}
	switch a.Result.Status {
	case queue.Delivered:
		e.Status = "sent"
	case queue.Failed:
		e.Status = "bounced"
	default:
		e.Status = "deferred"
	}
	m.log.Log(e)
}

func (m mailLog) Expired(id queue.ID, env *queue.Envelope) {
	m.log.Log(messageExpired{QID: id.String(), Sender: env.Sender})
}

func (m mailLog) Notified(id queue.ID, kind queue.NoticeKind, notice queue.ID) {
	words := map[queue.NoticeKind]string{queue.NoticeFailure: "non-delivery", queue.NoticeDelay: "delay", queue.NoticeSuccess: "delivery status"}
	m.log.Log(notified{QID: id.String(), Kind: words[kind], NewQID: notice.String()})
}

func (m mailLog) Removed(id queue.ID) { m.log.Log(messageRemoved{QID: id.String()}) }
