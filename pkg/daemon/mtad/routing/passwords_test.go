package routing

import (
	"cmp"
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
// smtp_sasl_password_maps by sender, by the host connected to, and by next hop,
// as a Postfix 3.7 asked.
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
		PasswordMaps: []string{`inline:{ {joe@ours.example=joe:a:b} {@dom.example=dom:d} {[smtp.example]:587=port:p}
			{[both.example]:587=port:p} {both.example=host:h} {mx1.far.example=first:f} {far.example=far:f} {far.example:587=far587:f}
			{bad.example=nopassword} }`},
	}
	p, err := c.Logins(secret("relay", "relay:r"), "+", lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ sender, hop, host, transport, want string }{
		{"ann@ours.example", "[relay.example]:587", "", "", "relay:r"},
		{"joe@ours.example", "[relay.example]:587", "", "", "relay:r"},
		{"joe@ours.example", "[smtp.example]:587", "", "own", "own:x"},
		{"joe@ours.example", "[smtp.example]:587", "", "", "joe:a:b"},
		{"joe+x@ours.example", "[smtp.example]:587", "", "", "joe:a:b"},
		{"joe@ours.example", "far.example", "mx1.far.example", "", "joe:a:b"},
		{"x@dom.example", "far.example", "mx1.far.example", "", "dom:d"},
		{"ann@ours.example", "[smtp.example]:587", "", "", "port:p"},
		{"", "[smtp.example]:587", "", "", "port:p"},
		{"ann@ours.example", "[smtp.example]:2525", "", "", "none"},
		{"ann@ours.example", "[both.example]:587", "", "", "host:h"},
		{"ann@ours.example", "[both.example]:2525", "", "", "host:h"},
		{"ann@ours.example", "far.example", "mx1.far.example", "", "first:f"},
		{"ann@ours.example", "far.example", "mx2.far.example", "", "far:f"},
		{"ann@ours.example", "far.example:587", "mx1.far.example", "", "first:f"},
		{"ann@ours.example", "far.example:587", "mx2.far.example", "", "far587:f"},
		{"ann@ours.example", "far.example:2525", "mx2.far.example", "", "none"},
		{"", "elsewhere.example", "mx1.far.example", "", "first:f"},
		{"ann@ours.example", "else.example", "", "", "none"},
		{"ann@ours.example", "bad.example", "", "", "error"},
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
		host := cmp.Or(k.host, hop.Host)
		got := "none"
		switch login, err := p.For(context.Background(), sender, hop, host); {
		case fail.Is(err, fail.Invalid):
			got = "error"
		case err != nil:
			t.Error(err)
		case login != nil:
			got = login.User + ":" + login.Password
		}
		if got != k.want {
			t.Errorf("<%s> at %s of %s: %s, want %s", k.sender, host, k.hop, got, k.want)
		}
	}
	if login, err := p.For(context.Background(), addr.Address{Local: "joe", Domain: "ours.example"}, route.Hop{Transport: route.LMTP, Host: "far.example"}, "far.example"); login != nil || err != nil {
		t.Errorf("over LMTP: %v, %v", login, err)
	}
}

// A key that is not answered is not "no": the next one may be the login of
// somebody else.
func TestPasswordsUnknown(t *testing.T) {
	c := Config{PasswordMaps: []string{"inline:{far.example=far:f}", "fail:down"}}
	p, err := c.Logins("", "", lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hop := route.Hop{Host: "far.example", MX: true}
	for _, sender := range []addr.Address{{}, {Local: "joe", Domain: "ours.example"}} {
		if login, err := p.For(context.Background(), sender, hop, "mx1.far.example"); login != nil || !fail.Is(err, fail.Unavailable) {
			t.Errorf("for <%v>: %v, %v", sender, login, err)
		}
	}
}
