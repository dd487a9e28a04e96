package login

import (
	"net/netip"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/imapd/imapconf"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// Config is the file imapd-login.yaml, with role: login.
type Config struct {
	Role string `yaml:"role" oneof:"login" doc:"login faces the network; session serves mail (imapd.yaml)."`

	Greeting string `yaml:"greeting" max:"200" reload:"true" doc:"What a client is greeted with, after its protocol's own words."`

	IMAP  Endpoint `yaml:"imap" doc:"IMAP, port 143."`
	IMAPS Endpoint `yaml:"imaps" doc:"IMAP with TLS from the first byte, port 993."`
	POP3  Endpoint `yaml:"pop3" doc:"POP3, port 110."`
	POP3S Endpoint `yaml:"pop3s" doc:"POP3 with TLS from the first byte, port 995."`

	TLS tlsx.Config `yaml:"tls" doc:"Certificates."`

	AuthSocket     string `yaml:"auth_socket" path:"connect" doc:"authd's socket for logins (or a Dovecot's login/login)."`
	SessionSocket  string `yaml:"session_socket" path:"connect" doc:"Socket of the session role, which serves those who have logged in."`
	SessionSockets string `yaml:"session_sockets" example:"/run/postcote-imapd/instances" doc:"Folder with one socket for each further instance of the session role; authd's answer names one in the field instance=NAME. Empty: there is only session_socket."`

	AllowPlaintext bool `yaml:"allow_plaintext" reload:"true" doc:"Take passwords over connections without TLS. Those from this host itself are taken in any case."`

	TrustedNetworks []conf.Network `yaml:"login_trusted_networks" reload:"true" example:"[10.0.0.0/8]" doc:"Networks of proxies in front that may say who their client is, by the IMAP command ID (x-originating-ip and the like) or the POP3 command XCLIENT. Passwords are taken from them without TLS, and limits.per_address does not bind them."`
	HAProxyNetworks []conf.Network `yaml:"haproxy_trusted_networks" reload:"true" example:"[10.0.0.5]" doc:"Networks of proxies that send a PROXY header to listeners with haproxy: yes. Anybody else is turned away there."`
	HAProxyTimeout  conf.Duration  `yaml:"haproxy_timeout" min:"100ms" max:"1m" reload:"true" doc:"Time in which the PROXY header must have come."`

	IMAPWords imapconf.Common `yaml:",inline"`

	Unauthenticate bool `yaml:"imap_unauthenticate" reload:"true" doc:"Offer UNAUTHENTICATE: a client may log in again, as somebody else, on the same connection. For gateways that act for many users. Connections without TLS go through the login role then, like those with it."`

	Limits Limits `yaml:"limits" doc:"What strangers may do."`

	service.Common `yaml:",inline"`
}

// Endpoint is one listener.
type Endpoint struct {
	Listen  conf.Listen `yaml:"listen" doc:"Where to listen; empty: not at all."`
	HAProxy bool        `yaml:"haproxy" doc:"Connections begin with a PROXY header (version 1 or 2), which says who the client is; see haproxy_trusted_networks."`
	TLS     string      `yaml:"tls" oneof:"none|starttls|implicit" doc:"implicit: from the first byte. starttls: when the client asks for it. none: never."`
}

// Limits is the `limits` section.
type Limits struct {
	Connections  int            `yaml:"connections" min:"1" doc:"Connections at a time, sessions with TLS included."`
	WithoutLogin int            `yaml:"without_login" min:"1" doc:"Of these, connections on which nobody has logged in yet. One more pushes the oldest one out."`
	PerAddress   int            `yaml:"per_address" min:"0" doc:"Of those without a login, how many one IPv4 address or IPv6 /64 may have; 0: any number."`
	Exempt       []netip.Prefix `yaml:"exempt" doc:"Networks that per_address does not bind."`
	LoginTime    conf.Duration  `yaml:"login_time" min:"1s" max:"1h" reload:"true" doc:"Time in which somebody must have logged in."`
	AuthTime     conf.Duration  `yaml:"auth_time" min:"1s" max:"10m" reload:"true" doc:"Time that one attempt to log in may take."`
	BadCommands  int            `yaml:"bad_commands" min:"1" reload:"true" doc:"Invalid commands that end a connection."`
	Stall        conf.Duration  `yaml:"stall" min:"1s" doc:"How long a client may take none of a session's output."`
}

// Default is the configuration without a file.
func Default() Config {
	named := func(name, tls string) Endpoint {
		return Endpoint{Listen: conf.Listen{Address: "systemd:" + name}, TLS: tls}
	}
	return Config{
		Role:          "login",
		IMAPWords:     imapconf.DefaultCommon(),
		Greeting:      "Postcote ready.",
		IMAP:          named("imap", "starttls"),
		IMAPS:         named("imaps", "implicit"),
		POP3:          named("pop3", "starttls"),
		POP3S:         named("pop3s", "implicit"),
		TLS:           tlsx.DefaultConfig(),
		AuthSocket:    "/run/postcote-authd/login",
		SessionSocket: "/run/postcote-imapd/session",

		HAProxyTimeout: conf.Duration(3 * time.Second),
		Limits: Limits{
			Connections: 20000, WithoutLogin: 1000, PerAddress: 100,
			Exempt:      []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			LoginTime:   conf.Duration(3 * time.Minute),
			AuthTime:    conf.Duration(150 * time.Second),
			BadCommands: 3,
			Stall:       conf.Duration(5 * time.Minute),
		},
		Common: service.DefaultCommon("imapd-login"),
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	listeners := 0
	for _, e := range c.endpoints() {
		if e.Listen.Address == "" {
			continue
		}
		listeners++
		if e.HAProxy && len(c.HAProxyNetworks) == 0 {
			p.At("haproxy_trusted_networks").Hint("write the addresses of the proxies").Errorf("%s.haproxy turns everybody away while no network is trusted", e.key)
		}
		if e.TLS != "none" && !c.TLS.Enabled() {
			p.At(e.key + ".tls").Hint("set tls.cert_file and tls.key_file, or write none").Errorf("there is no certificate for it")
		}
	}
	if listeners == 0 {
		p.At("imap.listen").Errorf("all listeners are off")
	}
	for key, path := range map[string]string{"auth_socket": c.AuthSocket, "session_socket": c.SessionSocket, "session_sockets": c.SessionSockets} {
		optional := key == "session_sockets" && path == ""
		inet := key == "auth_socket" && strings.HasPrefix(path, "inet:")
		if !strings.HasPrefix(path, "/") && !optional && !inet {
			p.At(key).Hint("write an absolute path").Errorf("%q is not the path of a socket", path)
		}
	}
	if c.Limits.WithoutLogin > c.Limits.Connections {
		p.At("limits.without_login").Errorf("must not be above limits.connections")
	}
	if strings.ContainsAny(c.Greeting, "\r\n") || c.Greeting == "" {
		p.At("greeting").Errorf("must be one line of text")
	}
}

// endpoint is an Endpoint with its key and protocol.
type endpoint struct {
	Endpoint
	key  string
	pop3 bool
}

func (c *Config) endpoints() []endpoint {
	return []endpoint{
		{c.IMAP, "imap", false},
		{c.IMAPS, "imaps", false},
		{c.POP3, "pop3", true},
		{c.POP3S, "pop3s", true},
	}
}
