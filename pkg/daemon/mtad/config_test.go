package mtad

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

func load(text string) (Config, conf.Problems) {
	c := Default()
	err := conf.Parse("mtad.yaml", []byte(text), &c)
	var problems conf.Problems
	errors.As(err, &problems)
	return c, problems
}

// The documented defaults are a configuration that loads back to themselves.
func TestDefaultsLoadBack(t *testing.T) {
	var first, second bytes.Buffer
	if err := conf.WriteDefaults(&first, Default()); err != nil {
		t.Fatal(err)
	}
	c, problems := load(first.String())
	if problems != nil {
		t.Fatalf("%v\n%s", problems, first.String())
	}
	if err := conf.WriteDefaults(&second, c); err != nil || first.String() != second.String() {
		t.Errorf("the defaults change when they are read back: %v\n%s", err, second.String())
	}
}

func TestListenerDefaults(t *testing.T) {
	c, problems := load(`
listeners:
  - {listen: ":25"}
  - {listen: "systemd:submission", role: submission}
  - {listen: ":465", role: submission, tls: implicit}
  - {listen: "127.0.0.1:2525", role: submission, tls: none, auth: clear, name: webmail/smtpd}
`)
	if problems != nil {
		t.Fatal(problems)
	}
	want := []string{"smtpd starttls tls", "submission/smtpd starttls tls", "smtps/smtpd implicit tls", "webmail/smtpd none clear"}
	for i, l := range c.Listeners {
		if got := l.label() + " " + l.TLS + " " + l.Auth; got != want[i] {
			t.Errorf("listener %d: got %s, want %s", i, got, want[i])
		}
	}
	if p := c.Listeners[3].policy(); p[gate.Mail][0] != gate.NeedAuth {
		t.Errorf("a listener without TLS must not demand it: %v", p)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"listeners: [{listen: ':25', auth: none}, {listen: ':25', auth: none}]": "listeners[1].listen: :25 is listened on by listeners[0] already",
		"luser_relay: 'a b'":                                        "mtad.yaml:1: luser_relay: ",
		"hostname: mail":                                            "hostname: \"mail\" is not a full host name",
		"hostname: 'a b.example'":                                   "hostname",
		"listeners: [{listen: ':25', role: relay}]":                 "listeners[0].role",
		"listeners: [{role: mx}]":                                   "listeners[0].listen: the address is missing",
		"listeners: [{listen: 'unix:/x'}]":                          "listeners[0].listen: a listener needs a network address",
		"listeners: [{listen: ':1', tls: none}]":                    "listeners[0].auth: logins need TLS",
		"listeners: [{listen: ':1', role: submission, auth: none}]": "listeners[0].auth: nobody could submit",
		"tls: {cert_file: '', key_file: ''}":                        "listeners[2].tls: implicit needs a certificate",
		"auth_socket: ''":                                           "listeners[1].auth: there is no auth_socket",
		"exists_socket: relative":                                   "exists_socket: \"relative\" is not a socket",
		"domains: {mailbox: [a..b]}":                                "domains.mailbox[0]",
		"domains: {mailbox: [a.example], relay: [a.example]}":       "domain a.example is in the lists of mailbox and of relay domains",
		"routes: {a.example: 'uucp:x'}":                             "routes[a.example]",
		"relayhost: '[a.example]:x'":                                "relayhost",
		"postmaster: joe":                                           "postmaster",
		"deliver: {lmtp: 'unix:'}":                                  "deliver.lmtp",
		"trusted_networks: [10.1.2.3/8]":                            "bits behind its mask; is 10.0.0.0/8 meant?",
		"trusted_networks: [nonsense]":                              "neither an address nor a network",
		"message_size_limit: huge":                                  "message_size_limit",
		"limits: {soft_errors: 30}":                                 "limits.soft_errors: 30 is above hard_errors, 20",
		"remote: {relayhost_credentials_file: /x}":                  "there is no relayhost",
		"{relayhost: a.example, remote: {relayhost_credentials_file: /x, tls: none}}": "credentials are never sent in the clear",
		"queue: {dir: ''}":     "queue.dir",
		"hostnam: a.example":   "hostname",
		"dns: {servers: [x]}":  "dns.servers[0]",
		"submit: {listen: {}}": "",
	} {
		_, problems := load(text)
		if want == "" && problems != nil || want != "" && !strings.Contains(problems.Error(), want) {
			t.Errorf("%s:\ngot  %v\nwant %s", text, problems, want)
		}
	}
}

func TestHostname(t *testing.T) {
	if got := (Config{Hostname: "Mail.Example.org"}).hostname(); got != "mail.example.org" {
		t.Error(got)
	}
	system, _ := os.Hostname()
	if got := (Config{}).hostname(); !strings.Contains(got, ".") {
		t.Errorf("system name %q gives %q, which has no domain", system, got)
	}
}

// What check notes of a configuration that the daemon would start with.
func TestAdvice(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"pattern": "/(open/ x\n", "virtual": "joe@ours.example ann@ours.example\n", "policy": "far.example encript\n"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(name, host string, at time.Time, valid time.Duration) string {
		file := dir + "/" + name
		if err := tlsx.WriteSelfSigned(file, file+".key", []string{host}, at, valid); err != nil {
			t.Fatal(err)
		}
		return "tls: {cert_file: " + file + ", key_file: " + file + ".key}\n"
	}
	now := time.Now()
	good := pair("good", "mail.ours.example", now, 90*24*time.Hour)
	const plain = "hostname: mail.ours.example\ndomains: {mailbox: [ours.example], tables: []}\nauth_socket: ''\n"
	const mx = plain + "listeners: [{listen: '192.0.2.1:25', auth: none}]\n"
	for _, tc := range []struct{ name, text, want string }{
		{"nothing", mx + good + "rewrite: {virtual_alias_maps: ['texthash:DIR/virtual']}", ""},
		{"no certificate", mx + "tls: {cert_file: '', key_file: ''}", "listeners[0].tls: TLS is not offered without tls.cert_file"},
		{"expired", mx + pair("old", "mail.ours.example", now.Add(-48*time.Hour), time.Hour), "tls.cert_file: DIR/old has expired on "},
		{"expires", mx + pair("late", "mail.ours.example", now, 24*time.Hour), "tls.cert_file: DIR/late expires on "},
		{"not yet", mx + pair("new", "mail.ours.example", now.Add(48*time.Hour), 90*24*time.Hour), "tls.cert_file: DIR/new is valid from "},
		{"other host", mx + pair("other", "www.ours.example", now, 90*24*time.Hour), "tls.cert_file: DIR/other is not for mail.ours.example"},
		{"open relay", mx + good + "trusted_networks: [127.0.0.1, 0.0.0.0/0]", "trusted_networks[1]: 0.0.0.0/0: all these strangers"},
		{"open relay of IPv6", mx + good + "trusted_networks: ['::/0']", "trusted_networks[0]: ::/0: all these strangers"},
		{"relay for everybody there", "hostname: mail.ours.example\nauth_socket: ''\ndomains: {relay: [r.example], tables: []}\nlisteners: [{listen: ':25', auth: none}]\n" + good, "domains.relay: mail for every address there is taken"},
		{"for nobody", "hostname: mail.ours.example\nauth_socket: ''\ndomains: {tables: []}\nlisteners: [{listen: ':25', auth: none}]\n" + good, "listeners[0]: strangers can send to nobody here"},
		{"round by address", mx + good + "relayhost: '[192.0.2.1]'", "relayhost: smtp:[192.0.2.1] is this host itself"},
		{"round by name", mx + good + "routes: {far.example: 'smtp:[Mail.ours.example]:25'}", "routes[far.example]: smtp:[Mail.ours.example]:25 is this host itself"},
		{"round by loopback", strings.Replace(mx, "192.0.2.1:25", ":25", 1) + good + "fallback_relay: ['[127.0.0.1]']", "fallback_relay[0]: smtp:[127.0.0.1] is this host itself"},
		{"another port", mx + good + "relayhost: '[192.0.2.1]:26'", ""},
		{"passwords in the clear", mx + good + "password_maps: ['inline:{a=b:c}']\nremote: {tls: none}", "password_maps: passwords are never sent without TLS"},
		{"backoff", mx + good + "queue: {min_backoff: 2h, max_backoff: 1h}", "queue.min_backoff: 2h is above max_backoff, 1h"},
		{"warning", mx + good + "queue: {lifetime: 1h, delay_warning: 4h}", "queue.delay_warning: 4h is not before the end of the lifetime, 1h"},
		{"metrics", mx + good + "metrics: {listen: ':9150'}", "metrics.listen: everybody who reaches :9150 can read it"},
		{"owners", mx + good + "listeners: [{listen: ':25', auth: none, sender_login: known}]", "listeners[0].sender_login: nobody owns an address"},
		{"policy", mx + good + "remote: {tls_policy_maps: ['texthash:DIR/policy']}", "table texthash:DIR/policy: far.example: TLS policy \"encript\": there is no level"},
		{"table", mx + good + "transport_maps: ['regexp:DIR/pattern']", "table DIR/pattern, line 1: a parenthesis is not closed"},
	} {
		text := strings.ReplaceAll(tc.text, "DIR", dir)
		if strings.Count(text, "listeners:") > 1 {
			text = strings.Replace(text, "listeners: [{listen: '192.0.2.1:25', auth: none}]\n", "", 1)
		}
		c, problems := load(text)
		if problems != nil {
			t.Errorf("%s: %v", tc.name, problems)
			continue
		}
		notes, err := advise(&c)
		want := strings.ReplaceAll(tc.want, "DIR", dir)
		if fits := len(notes) == 1 && want != "" && strings.HasPrefix(notes[0], want); err != nil || !fits && (want != "" || len(notes) > 0) {
			t.Errorf("%s: got %q %v, want %q", tc.name, notes, err, want)
		}
	}
	c, _ := load(plain + "listeners: []\ntls: {cert_file: " + dir + "/good.key, key_file: " + dir + "/good}")
	if _, err := advise(&c); err == nil || !strings.Contains(err.Error(), "may have been switched") {
		t.Errorf("a key in place of the certificate: %v", err)
	}
}
