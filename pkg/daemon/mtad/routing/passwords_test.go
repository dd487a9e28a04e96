package routing

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Logins at other hosts: a transport's and the relay host's own files, then
// smtp_sasl_password_maps by sender, by next hop, and by its host.
func TestPasswords(t *testing.T) {
	secret := func(name, text string) conf.SecretFile {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return conf.SecretFile(file)
	}
	c := Config{
		RelayHost:  "[relay.example]:587",
		Transports: map[string]Transport{"own": {Credentials: secret("own", "own:x\n")}},
		PasswordMaps: []string{`inline:{ {joe@ours.example=joe:a:b} {@dom.example=dom:d} {[smtp.example]:587=port:p} {smtp.example=host:h}
			{other.example=other:o} {bad.example=nopassword} }`},
	}
	p, err := c.Logins(secret("relay", "relay:r"), "+", lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ sender, hop, transport, want string }{
		{"ann@ours.example", "[relay.example]:587", "", "relay:r"},
		{"joe@ours.example", "[relay.example]:587", "", "relay:r"},
		{"joe@ours.example", "[smtp.example]:587", "own", "own:x"},
		{"joe@ours.example", "[smtp.example]:587", "", "joe:a:b"},
		{"joe+x@ours.example", "[smtp.example]:587", "", "joe:a:b"},
		{"x@dom.example", "[smtp.example]:587", "", "dom:d"},
		{"ann@ours.example", "[smtp.example]:587", "", "port:p"},
		{"", "[smtp.example]:587", "", "port:p"},
		{"ann@ours.example", "[smtp.example]:2525", "", "host:h"},
		{"ann@ours.example", "other.example", "", "other:o"},
		{"ann@ours.example", "else.example", "", "none"},
		{"ann@ours.example", "bad.example", "", "error"},
	} {
		sender, err := addr.Parse(k.sender)
		if err != nil {
			t.Fatal(err)
		}
		hop, err := route.ParseRelayHost(k.hop)
		if err != nil {
			t.Fatal(err)
		}
		hop.Name = k.transport
		got := "none"
		switch login, err := p.For(context.Background(), sender, hop); {
		case fail.Is(err, fail.Invalid):
			got = "error"
		case err != nil:
			t.Error(err)
		case login != nil:
			got = login.User + ":" + login.Password
		}
		if got != k.want {
			t.Errorf("<%s> at %s: %s, want %s", k.sender, k.hop, got, k.want)
		}
	}
	if login, err := p.For(context.Background(), addr.Address{Local: "joe", Domain: "ours.example"}, route.Hop{Transport: route.LMTP, Host: "other.example"}); login != nil || err != nil {
		t.Errorf("over LMTP: %v, %v", login, err)
	}
}
