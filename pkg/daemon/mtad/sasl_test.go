package mtad

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"testing"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	smtpclient "github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Over TLS a login can be bound to the connection. A proof for another
// connection, as a man in the middle has it, is worth nothing (CVE-2026-33603).
func TestLoginBoundToTLS(t *testing.T) {
	w := newWorld(t)
	w.start()
	login := func(password string, binder sasl.Binder) error {
		cfg := smtpclient.Config{Name: "client.example", TLSMode: smtpclient.ImplicitTLS, TLS: tlsx.Opportunistic("")}
		cfg.Auth = func(offered []string, state *tls.ConnectionState) (gosasl.Client, error) {
			if !slices.Contains(offered, "SCRAM-SHA-256-PLUS") || slices.Contains(offered, "APOP") || slices.Contains(offered, "ANONYMOUS") {
				t.Errorf("offered %q", offered)
			}
			c := sasl.Credentials{Authcid: "joe@ours.example", Password: password, Binder: binder}
			if binder == nil {
				c.Binder = tlsx.ClientBinding(*state)
			}
			return sasl.NewClient("SCRAM-SHA-256-PLUS", c)
		}
		conn, err := smtpclient.New(context.Background(), w.connect("smtps/smtpd"), cfg)
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	if err := login("secret", nil); err != nil {
		t.Error(err)
	}
	other := tls.Client(w.connect("smtps/smtpd"), tlsx.Opportunistic(""))
	if err := other.Handshake(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"wrong password":     login("wrong", nil),
		"another connection": login("secret", tlsx.ClientBinding(other.ConnectionState())),
	} {
		var site *smtpclient.SiteError
		if !errors.As(err, &site) || site.Reply.Code != 535 {
			t.Errorf("%s: %v", what, err)
		}
	}
}
