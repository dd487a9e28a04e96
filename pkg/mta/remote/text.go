package remote

import (
	"context"
	"errors"
	"net"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

func (c *Client) dial(ctx context.Context, t target) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.ConnectTimeout)
	defer cancel()
	return c.cfg.Dial(ctx, t.Network, t.Address)
}

func connectFailed(t target, err error) trouble {
	if errors.Is(err, context.Canceled) {
		return canceled()
	}
	return deferral(4, 1, "connect to "+t.relay()+": "+systemText(err))
}

// said is Postfix's sentence for a refusal by the peer.
func said(t target, reply string, stage client.Stage) string {
	return "host " + t.name() + " said: " + reply + " (in reply to " + string(stage) + " command)"
}

// siteTrouble words a failure that is the host's fault. It always defers: a
// host that turns us away with 5xx in its greeting today may have been
// misconfigured today.
func siteTrouble(t target, err error, tlsWhy string) trouble {
	var site *client.SiteError
	if !errors.As(err, &site) {
		if errors.Is(err, context.Canceled) {
			return canceled()
		}
		return deferral(4, 2, "lost connection with "+t.name()+": "+systemText(err))
	}
	if errors.Is(site.Err, context.Canceled) {
		return canceled()
	}
	reply := site.Reply.String()
	out := deferral(4, 2, "")
	if !site.Reply.IsZero() {
		out.Reply = reply
		out.DSN = softened(site.Reply)
	}
	switch {
	case site.TLS:
		out.DSN, out.Text = tlsTrouble(t, site, tlsWhy)
	case site.Auth:
		out.DSN, out.Text = loginTrouble(t, site)
	case errors.Is(site.Err, wire.ErrBadReply) && !site.Reply.IsZero():
		out.DSN = smtp.EnhancedCode{4, 5, 0}
		out.Text = "Protocol error: " + said(t, reply, site.Stage)
	case site.Err == nil && early(site.Stage):
		out.Text = "host " + t.name() + " refused to talk to me: " + reply
	case site.Err == nil:
		out.Text = said(t, reply, site.Stage)
	case isTimeout(site.Err):
		out.Text = "conversation with " + t.name() + " timed out while " + doing(site.Stage)
	default:
		out.Text = "lost connection with " + t.name() + " while " + doing(site.Stage)
	}
	return out
}

// connectTrouble is siteTrouble for a session that could not be opened.
func (c *Client) connectTrouble(t target, err error, tlsWhy string) trouble {
	out := siteTrouble(t, err, tlsWhy)
	var site *client.SiteError
	if !errors.As(err, &site) || site.Err != nil || !site.Reply.Permanent() {
		return out
	}
	switch {
	case site.Auth && c.cfg.HardLogin:
		out.Status, out.DSN[0] = Bounced, 5
	case site.Stage == client.StageConnect && c.cfg.HardGreeting, site.Stage == client.StageHello, site.Stage == client.StageLHLO: // that we are not wanted is no passing trouble
		out.Status, out.DSN[0], out.Site = Bounced, 5, false
	}
	return out
}

// softened is the enhanced code of a reply, as one of class 4.
func softened(r wire.Reply) smtp.EnhancedCode {
	e := r.Enhanced
	if e[0] == 0 && r.Code < 400 {
		e[1] = 5 // a reply that no command can have
	}
	e[0] = 4
	return e
}

// loginTrouble words why a login failed.
func loginTrouble(t target, site *client.SiteError) (smtp.EnhancedCode, string) {
	const failed = "SASL authentication failed"
	switch {
	case !site.Reply.IsZero():
		return softened(site.Reply), failed + "; server " + t.name() + " said: " + site.Reply.String()
	case fail.Is(site.Err, fail.Permanent):
		return smtp.EnhancedCode{4, 7, 0}, failed + ": server " + t.name() + " offered no compatible authentication mechanisms for this type of connection security"
	}
	return smtp.EnhancedCode{4, 7, 0}, failed + "; cannot authenticate to server " + t.name() + ": " + site.Err.Error()
}

func tlsTrouble(t target, site *client.SiteError, why string) (smtp.EnhancedCode, string) {
	if why == "" {
		why = "TLS is required"
	}
	switch {
	case site.Stage == client.StageTLS && judged(site.Err):
		return smtp.EnhancedCode{4, 7, 5}, site.Err.Error()
	case site.Stage == client.StageTLS || site.Stage == client.StageConnect:
		return smtp.EnhancedCode{4, 7, 5}, "Cannot start TLS: handshake failure"
	case !site.Reply.IsZero():
		return softened(site.Reply), why + ", but host " + t.name() + " refused to start TLS: " + site.Reply.String()
	}
	return smtp.EnhancedCode{4, 7, 4}, why + ", but was not offered by host " + t.name()
}

func early(s client.Stage) bool {
	return s == client.StageConnect || s == client.StageHello || s == client.StageLHLO
}

// doing is Postfix's wording of where a conversation broke.
func doing(s client.Stage) string {
	switch s {
	case client.StageConnect:
		return "receiving the initial server greeting"
	case client.StageSTARTTLS:
		return "receiving the STARTTLS response"
	case client.StageAuth: // a part of it, to Postfix
		return "performing the EHLO handshake"
	case client.StageHello, client.StageLHLO:
		return "performing the " + string(s) + " handshake"
	case client.StageTLS:
		return "performing the TLS handshake"
	case client.StageContent:
		return "sending message body"
	case client.StageEnd:
		return "sending end of data -- message may be sent more than once"
	case client.StageData:
		return "sending DATA command"
	}
	return "sending " + string(s)
}
