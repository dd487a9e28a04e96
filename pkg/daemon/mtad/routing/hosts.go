package routing

import (
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/mechanisms"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// Timeouts is how long another host is waited for: Postfix's smtp_*_timeout
// and lmtp_*_timeout. Zero takes the value of the kind of transport.
type Timeouts struct {
	Helo     conf.Duration `yaml:"helo_timeout" max:"1h" doc:"For the greeting, for the answer to EHLO or LHLO, and for each step of a login."`
	StartTLS conf.Duration `yaml:"starttls_timeout" max:"1h" doc:"For the answer to STARTTLS, and for the handshake."`
	Mail     conf.Duration `yaml:"mail_timeout" max:"1h" doc:"For the answer to MAIL, and to XFORWARD."`
	Rcpt     conf.Duration `yaml:"rcpt_timeout" max:"1h" doc:"For the answer to each RCPT."`
	DataInit conf.Duration `yaml:"data_init_timeout" max:"1h" doc:"For the answer to DATA."`
	DataXfer conf.Duration `yaml:"data_xfer_timeout" max:"1h" doc:"For each block of a message to be taken."`
	DataDone conf.Duration `yaml:"data_done_timeout" max:"1h" doc:"For the answer to a message; a host that needs longer gets it again."`
	Rset     conf.Duration `yaml:"rset_timeout" max:"1h" doc:"For the answer to RSET, before a connection is used again."`
	Quit     conf.Duration `yaml:"quit_timeout" max:"1h" doc:"For the answer to QUIT."`
}

// DefaultTimeouts are Postfix's.
func DefaultTimeouts() Timeouts {
	d := client.DefaultTimeouts()
	return Timeouts{
		Helo: conf.Duration(d.Hello), StartTLS: conf.Duration(d.TLS), Mail: conf.Duration(d.Mail), Rcpt: conf.Duration(d.Rcpt),
		DataInit: conf.Duration(d.Data), DataXfer: conf.Duration(d.Transfer), DataDone: conf.Duration(d.Done),
		Rset: conf.Duration(d.Reset), Quit: conf.Duration(d.Quit),
	}
}

// Client is t for the engine; what is zero is taken from usual.
func (t Timeouts) Client(usual client.Timeouts) client.Timeouts {
	for _, k := range []struct {
		have conf.Duration
		into []*time.Duration
	}{
		{t.Helo, []*time.Duration{&usual.Greeting, &usual.Hello, &usual.Auth}},
		{t.StartTLS, []*time.Duration{&usual.TLS}},
		{t.Mail, []*time.Duration{&usual.Mail}},
		{t.Rcpt, []*time.Duration{&usual.Rcpt}},
		{t.DataInit, []*time.Duration{&usual.Data}},
		{t.DataXfer, []*time.Duration{&usual.Transfer}},
		{t.DataDone, []*time.Duration{&usual.Done}},
		{t.Rset, []*time.Duration{&usual.Reset}},
		{t.Quit, []*time.Duration{&usual.Quit}},
	} {
		for _, into := range k.into {
			if k.have > 0 {
				*into = k.have.Std()
			}
		}
	}
	return usual
}

// Sessions is how other hosts are spoken to.
type Sessions struct {
	SkipGreeting bool          `yaml:"skip_5xx_greeting" doc:"Take a greeting of 5xx for one of 4xx: the next host is asked, and mail is tried again. Otherwise it is returned."`
	MailAuth     bool          `yaml:"send_dummy_mail_auth" doc:"Say AUTH=<> in MAIL where we have logged in, for hosts that want it (RFC 4954 section 5)."`
	DiscardMaps  []string      `yaml:"discard_ehlo_keyword_address_maps" example:"cidr:/etc/postcote/ehlo_keywords" doc:"Tables with the EHLO keywords that are not used at a host, by its address, in place of discard_ehlo_keywords. While a table cannot be asked, mail waits."`
	ReuseTime    conf.Duration `yaml:"connection_reuse_time_limit" min:"1s" max:"24h" doc:"How long a connection is used for one message after another."`
	ReuseCount   int           `yaml:"connection_reuse_count_limit" min:"0" doc:"Messages that go over one connection; 0 for no limit."`
}

// DefaultSessions are Postfix's.
func DefaultSessions() Sessions {
	return Sessions{SkipGreeting: true, ReuseTime: conf.Duration(300 * time.Second)}
}

// Apply puts s into a client's configuration. Errors: fail.Invalid.
func (s Sessions) Apply(c *remote.Config, kinds lookup.Options) error {
	c.HardGreeting, c.MailAuth, c.MaxAge, c.MaxUses = !s.SkipGreeting, s.MailAuth, s.ReuseTime.Std(), s.ReuseCount
	if len(s.DiscardMaps) == 0 {
		return nil
	}
	table, err := lookup.OpenAll(s.DiscardMaps, kinds)
	if err != nil {
		return fail.Wrap(fail.Invalid, err, "remote.discard_ehlo_keyword_address_maps")
	}
	c.DiscardAt = table
	return nil
}

// Login is how we log in at other hosts.
type Login struct {
	Filter     []string `yaml:"sasl_mechanism_filter" example:"[plain, login]" doc:"Mechanisms to log in with, of those that a host offers: names, all, and !NAME for all but NAME. The first that fits counts."`
	Options    []string `yaml:"sasl_security_options" doc:"Mechanisms that are not used without TLS, which is with this host only: noplaintext, noactive, nodictionary, noanonymous, and those that lack forward_secrecy or mutual_auth."`
	TLSOptions []string `yaml:"sasl_tls_security_options" doc:"The same with TLS."`
	SoftBounce bool     `yaml:"sasl_auth_soft_bounce" doc:"Keep mail for a host that refuses the login for good, and try again. Otherwise it is returned."`
}

// DefaultLogin takes any mechanism that shows no password to strangers.
func DefaultLogin() Login {
	return Login{Filter: []string{"all"}, Options: []string{"noanonymous"}, TLSOptions: []string{"noanonymous"}, SoftBounce: true}
}

// Allow reports whether a mechanism may be used.
func (l Login) Allow(name string, tls bool) bool {
	return mechanisms.Rules{Filter: l.Filter, Options: l.Options, TLS: l.TLSOptions}.AllowName(name, tls)
}

// Check reports options that are none.
func (l Login) Check(p *conf.Reporter) {
	mechanisms.Check(p.At("sasl_security_options"), l.Options)
	mechanisms.Check(p.At("sasl_tls_security_options"), l.TLSOptions)
}

// words are the EHLO keywords of other hosts that we use.
var words = []string{"PIPELINING", "CHUNKING", "SIZE", "8BITMIME", "DSN", "SMTPUTF8", "STARTTLS", "AUTH", "XFORWARD", "ENHANCEDSTATUSCODES"}

// Upper returns keywords as hosts announce them.
func Upper(list []string) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = strings.ToUpper(w)
	}
	return out
}

// CheckWords reports keywords that are none.
func CheckWords(p *conf.Reporter, list []string) {
	for i, w := range Upper(list) {
		if !slices.Contains(words, w) {
			p.At("[%d]", i).Hint("see the list in the documentation of remote.discard_ehlo_keywords").Errorf("%q is not an EHLO keyword that is used", list[i])
		}
	}
}

// flags are those of smtp(8) that put a field before a message.
const flags = "DOR"

// CheckFlags reports flags that are none.
func CheckFlags(p *conf.Reporter, s string) {
	if bad := strings.Trim(s, flags); bad != "" {
		p.Hint("write some of the letters "+flags).Errorf("%q: there is no flag %.1q", s, bad)
	}
}

// Single reports whether flags put a field before the message that has a
// recipient's address, so that each needs a message of its own.
func Single(flags string) bool { return strings.ContainsAny(flags, "DO") }

// Fields are what flags put before a message, in Postfix's order.
func Fields(flags string, sender, original, to addr.Address) string {
	var b strings.Builder
	if strings.Contains(flags, "R") {
		b.WriteString("Return-Path: <" + sender.String() + ">\r\n")
	}
	if strings.Contains(flags, "O") {
		if original.Null() {
			original = to
		}
		b.WriteString("X-Original-To: " + original.String() + "\r\n")
	}
	if strings.Contains(flags, "D") {
		b.WriteString("Delivered-To: " + to.String() + "\r\n")
	}
	return b.String()
}
