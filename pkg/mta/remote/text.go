package remote

import (
	"context"
	"errors"
	"net"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
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
// host that turns us away with 5xx today may have been misconfigured today.
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
		if out.DSN = site.Reply.Enhanced; out.DSN[0] == 0 {
			out.DSN = smtp.EnhancedCode{4, 0, 0}
		}
		out.DSN[0] = 4
	}
	switch {
	case site.TLS:
		out.DSN, out.Text = tlsTrouble(t, site, tlsWhy)
	case site.Auth:
		out.DSN, out.Text = loginTrouble(t, site)
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
	if c.cfg.HardLogin && errors.As(err, &site) && site.Auth && site.Err == nil && site.Reply.Permanent() {
		out.Status, out.DSN[0] = Bounced, 5
	}
	return out
}

// loginTrouble words why a login failed.
func loginTrouble(t target, site *client.SiteError) (smtp.EnhancedCode, string) {
	const failed = "SASL authentication failed"
	switch {
	case !site.Reply.IsZero():
		dsn := site.Reply.Enhanced
		if dsn[0] == 0 {
			dsn = smtp.EnhancedCode{4, 7, 8}
		}
		dsn[0] = 4
		return dsn, failed + "; server " + t.name() + " said: " + site.Reply.String()
	case fail.Is(site.Err, fail.Permanent):
		return smtp.EnhancedCode{4, 7, 0}, failed + ": server " + t.name() + " offered no compatible authentication mechanisms for this type of connection security"
	}
	return smtp.EnhancedCode{4, 7, 0}, failed + ": server " + t.name() + ": " + site.Err.Error()
}

func tlsTrouble(t target, site *client.SiteError, why string) (smtp.EnhancedCode, string) {
	if why == "" {
		why = "TLS is required"
	}
	switch {
	case fail.Is(site.Err, fail.Denied), site.Stage == client.StageTLS && fail.Is(site.Err, fail.Unavailable): // by the policy
		return smtp.EnhancedCode{4, 7, 5}, site.Err.Error()
	case site.Stage == client.StageTLS || site.Stage == client.StageConnect:
		return smtp.EnhancedCode{4, 7, 5}, "Cannot start TLS: handshake failure"
	case !site.Reply.IsZero():
		return smtp.EnhancedCode{4, 7, 4}, why + ", but host " + t.name() + " refused to start TLS: " + site.Reply.String()
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
	case client.StageHello, client.StageLHLO, client.StageSTARTTLS, client.StageAuth:
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
