package whole

import (
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/test/suite"
)

// With the shipped sockets, a client of mtad that has TLS can bind its login to
// the channel, once authd is told to offer such a mechanism and to store
// passwords that serve it.
func TestSMTPChannelBinding(t *testing.T) {
	const plus = "SCRAM-SHA-256-PLUS"
	s := start(t, suite.Options{Edit: map[string]func(string) string{"authd": func(c string) string {
		return c + "\npasswords: {scheme: SCRAM-SHA-256}\nlogin: {mechanisms: [PLAIN, SCRAM-SHA-256, " + plus + "], failure_delay: 0s}\n"
	}}})
	login := func(password string, binder func(*smtp.Client) sasl.Binder) error {
		c, err := smtp.DialStartTLS(s.Addr(587), trust(t, s))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !c.SupportsAuth(plus) {
			t.Fatalf("%s is not offered", plus)
		}
		m, err := sasl.NewClient(plus, sasl.Credentials{Authcid: s.Accounts[0].Name, Password: password, Binder: binder(c)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(m); err != nil {
			return err
		}
		return sasl.Complete(m)
	}
	own := func(c *smtp.Client) sasl.Binder {
		state, _ := c.TLSConnectionState()
		return tlsx.ClientBinding(state)
	}
	if err := login(s.Accounts[0].Password, own); err != nil {
		t.Error(err)
	}
	if login("wrong", own) == nil {
		t.Error("a wrong password was taken")
	}
	// What somebody between us would do: the right password, over another channel.
	other, err := smtp.DialStartTLS(s.Addr(587), trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if login(s.Accounts[0].Password, func(*smtp.Client) sasl.Binder { return own(other) }) == nil {
		t.Error("a login that is bound to another channel was taken")
	}
}
