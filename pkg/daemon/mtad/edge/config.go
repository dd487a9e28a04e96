package edge

import (
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/mechanisms"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// Config is the section `smtpd`: keys have the names of Postfix's parameters
// without smtpd_.
type Config struct {
	XClientHosts  []conf.Network `yaml:"authorized_xclient_hosts" example:"[10.0.0.5]" doc:"Proxies that may say by XCLIENT who their client is. It is then judged, and logged, in the proxy's place."`
	XForwardHosts []conf.Network `yaml:"authorized_xforward_hosts" example:"[127.0.0.1]" doc:"Content filters that may say by XFORWARD whose mail they bring back. Only logs use it."`

	HAProxyNetworks []conf.Network `yaml:"haproxy_trusted_networks" example:"[10.0.0.5]" doc:"Networks of proxies that send a PROXY header to listeners with haproxy: yes. Anybody else is turned away there."`
	HAProxyTimeout  conf.Duration  `yaml:"haproxy_timeout" min:"100ms" max:"1m" doc:"Time in which the PROXY header must have come."`

	Banner string `yaml:"banner" doc:"What the greeting says behind the host's name."`

	DiscardWords   []string `yaml:"discard_ehlo_keywords" example:"[chunking]" doc:"EHLO keywords that no client sees, in any case of letters: pipelining, size, vrfy, etrn, starttls, auth, xclient, xforward, enhancedstatuscodes, 8bitmime, dsn, smtputf8, chunking. What is not announced is refused. silent-discard is taken and changes nothing: what is hidden is never logged."`
	DiscardWordsOf []Hidden `yaml:"discard_ehlo_keywords_for" doc:"The same for some clients; the first entry that names the client's network counts, in place of discard_ehlo_keywords."`

	BareLF       string         `yaml:"forbid_bare_newline" oneof:"normalize|reject" doc:"Lines of a message that end in LF without CR: made good, or the message is refused with 550 5.5.2. They never end a message, either way."`
	BareLFExempt []conf.Network `yaml:"forbid_bare_newline_exclusions" doc:"Networks for which reject means normalize."`

	BareLFCode int `yaml:"forbid_bare_newline_reject_code" min:"400" max:"599" doc:"The code of that refusal; 521 also ends the session."`

	Routing bool `yaml:"allow_untrusted_routing" doc:"Take recipients in our domains whose local part names a further host (user%host, host!user, \"user@host\") from clients that may not send to anywhere. mtad looks for no host there, but the one behind it may, and trusts it: others could send through both."`

	UnlistedRcpts   bool `yaml:"reject_unlisted_recipient" doc:"Refuse recipients in our domains who do not exist. Without it their mail is taken, and returned to senders who may be forged."`
	UnlistedSenders bool `yaml:"reject_unlisted_sender" doc:"Refuse senders in our domains who do not exist."`
	UnknownLocal    int  `yaml:"unknown_local_recipient_reject_code" min:"400" max:"599" doc:"The code of the refusal of names that domains.local do not have; 450 while a new table is being tried."`
	UnknownRelay    int  `yaml:"unknown_relay_recipient_reject_code" min:"400" max:"599" doc:"The same for domains.relay."`
	UnknownAlias    int  `yaml:"unknown_virtual_alias_reject_code" min:"400" max:"599" doc:"The same for domains.alias."`
	UnknownMailbox  int  `yaml:"unknown_virtual_mailbox_reject_code" min:"400" max:"599" doc:"The same for domains.mailbox."`

	ClientCerts []string `yaml:"relay_clientcerts" example:"texthash:/etc/postcote/client-certs" doc:"Tables of client certificates whose hosts may send to anywhere, through listeners of role mx with client_cert. The key is the fingerprint of the certificate or of its public key, in capital digits with colons (A1:B2:...); the value does not matter."`
	Digest      string   `yaml:"tls_fingerprint_digest" oneof:"sha256|sha512" doc:"What fingerprints are made with."`

	NoPipelining bool     `yaml:"forbid_unauth_pipelining" doc:"End sessions in which commands come before the reply they must wait for (RFC 2920 section 3.1)."`
	Forbidden    []string `yaml:"forbidden_commands" doc:"Commands of other protocols that end the session, besides lines that begin with no letter."`
	NoVRFY       bool     `yaml:"disable_vrfy_command" doc:"Refuse VRFY. It never tells whether a mailbox exists."`

	SASLFilter     []string       `yaml:"sasl_mechanism_filter" example:"['!login', all]" doc:"Mechanisms that clients may log in with, of those that auth_socket has: names, all, and !NAME for all but NAME. The first that fits counts, and what none fits is not offered."`
	SASLOptions    []string       `yaml:"sasl_security_options" doc:"Mechanisms that are not offered without TLS: noplaintext, noactive, nodictionary, noanonymous, and those that lack forward_secrecy or mutual_auth."`
	SASLTLSOptions []string       `yaml:"sasl_tls_security_options" doc:"The same with TLS. An anonymous login is never possible."`
	SASLService    string         `yaml:"sasl_service" doc:"The service that auth_socket is told a login is for."`
	SASLResponse   int            `yaml:"sasl_response_limit" min:"512" max:"65536" doc:"Octets of one response of a login, as base64; a longer one is refused with 500 5.5.6."`
	SASLExceptions []conf.Network `yaml:"sasl_exceptions_networks" doc:"Clients that cannot log in, such as those that would try and ask their user for a password."`
	OldAuth        bool           `yaml:"broken_sasl_auth_clients" doc:"Announce AUTH a second time, as AUTH=, for clients of the last century."`
	SASLHeader     bool           `yaml:"sasl_authenticated_header" doc:"Name the user who logged in in the Received field."`
	TLSHeader      bool           `yaml:"tls_received_header" doc:"Tell of the connection's TLS in the Received field."`
	TLSLog         int            `yaml:"tls_loglevel" min:"0" max:"4" doc:"1 writes a line for each connection with TLS; more is no more."`

	Footer     string   `yaml:"reject_footer" example:"'For help see https://example.org/mail ($localtime, $client_address)'" doc:"Text behind each refusal: on a line of its own, or behind the text when it begins with a backslash and c. A backslash and n begin a line. $client_address, $client_port, $localtime and $server_name stand for what they say. It is not logged."`
	FooterMaps []string `yaml:"reject_footer_maps" example:"pcre:/etc/postcote/footers" doc:"Tables with the footer of some refusals, by the whole reply on one line."`

	LogPorts bool `yaml:"client_port_logging" doc:"Log the port of each client behind its address, as in name[192.0.2.1]:4711: many share an address."`

	FastFlush []string `yaml:"fast_flush_domains" example:"[backup.example.org]" doc:"Domains whose waiting mail may be asked for by ETRN. With none, the domains of domains.relay."`
}

// Hidden is one entry of `discard_ehlo_keywords_for`.
type Hidden struct {
	Networks []conf.Network `yaml:"networks" doc:"Whom it is about."`
	Words    []string       `yaml:"keywords" doc:"What they do not see; none lets them see all."`
}

// DefaultConfig is Postfix's of version 3.9, without VRFY.
func DefaultConfig() Config {
	return Config{
		Banner:         server.Default().Greeting,
		HAProxyTimeout: conf.Duration(5 * time.Second),
		BareLF:         "normalize",
		BareLFCode:     550,
		UnlistedRcpts:  true,
		UnknownLocal:   550, UnknownRelay: 550, UnknownAlias: 550, UnknownMailbox: 550,
		Digest:         "sha256",
		TLSLog:         1,
		NoPipelining:   true,
		Forbidden:      server.DefaultForbidden(),
		NoVRFY:         true,
		SASLFilter:     []string{"all"},
		SASLService:    "smtp",
		SASLResponse:   12288,
		SASLOptions:    []string{"noanonymous"},
		SASLTLSOptions: []string{"noanonymous"},
	}
}

// Validate reports words that are none.
func (c Config) Validate(p *conf.Reporter) {
	checkWords(p.At("discard_ehlo_keywords"), c.DiscardWords)
	if strings.ContainsFunc(c.Banner, unprintable) || len(c.Banner) > maxBanner {
		p.At("banner").Errorf("want one line of ASCII, %d characters at most", maxBanner)
	}
	for i, h := range c.DiscardWordsOf {
		at := p.At("discard_ehlo_keywords_for[%d]", i)
		if len(h.Networks) == 0 {
			at.At("networks").Errorf("an entry without networks is about nobody")
		}
		checkWords(at.At("keywords"), h.Words)
	}
	if c.SASLService == "" || strings.ContainsFunc(c.SASLService, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		p.At("sasl_service").Errorf("%q is not one word", c.SASLService)
	}
	mechanisms.Check(p.At("sasl_security_options"), c.SASLOptions)
	mechanisms.Check(p.At("sasl_tls_security_options"), c.SASLTLSOptions)
	for i, word := range c.Forbidden {
		at := p.At("forbidden_commands[%d]", i)
		switch word = strings.ToUpper(word); {
		case word == "" || strings.ContainsAny(word, " \t"):
			at.Errorf("%q is not one word", word)
		case slices.Contains(spoken, word):
			at.Errorf("no mail could be sent without %s", word)
		}
	}
}

// maxBanner keeps the greeting on one line (RFC 5321 section 4.5.3.1.5).
const maxBanner = 200

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// spoken are the commands that cannot be forbidden.
var spoken = []string{"EHLO", "HELO", "MAIL", "RCPT", "DATA", "QUIT", "RSET", "STARTTLS"}

func checkWords(p *conf.Reporter, words []string) {
	var all server.Words
	for i, w := range words {
		if !hide(&all, w) {
			p.At("[%d]", i).Hint("see the list in the documentation of this key").Errorf("%q is not an EHLO keyword", w)
		}
	}
}
