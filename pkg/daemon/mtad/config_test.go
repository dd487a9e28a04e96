package mtad

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/platform/conf"
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
		"domains: {mailbox: [a.example], relay: [a.example]}":       "domain a.example is both",
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
