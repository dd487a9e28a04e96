package localmail

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Submit is the `submit` section.
type Submit struct {
	Listen conf.Listen `yaml:"listen" doc:"The socket; empty for none. Every local user may connect unless allow or mode say otherwise; the kernel tells who it is."`
	Socket string      `yaml:"socket" doc:"Path of the socket for sendmail(1) where listen is systemd:NAME."`
	Drop   string      `yaml:"drop" path:"dir" doc:"Folder in which sendmail(1) leaves mail while mtad is down, of mtad's own user and group with mode 3777; empty for none: sendmail then fails with 75."`

	Users   []string `yaml:"authorized_submit_users" reload:"true" doc:"Who may submit: user names, numeric user ids, anyone, and !NAME for all but NAME. The first that fits counts."`
	Exempt  []string `yaml:"exempt_users" reload:"true" doc:"Users whom the limits below do not concern, as root and mtad's own user."`
	Rate    int      `yaml:"messages_per_minute" min:"0" reload:"true" doc:"Messages that one user may submit in a minute; 0 for no limit."`
	Share   int      `yaml:"queued_messages" min:"0" reload:"true" doc:"Messages of one user that may be in the queue, counted since mtad started; 0 for no limit."`
	Senders Senders  `yaml:"login_senders" reload:"true" example:"www-data: [\"@shop.example\"]" doc:"Envelope senders that a local user may use: user name or * to addresses, @domains, <> for the null sender, or * for any. Users who are not listed may use any."`

	Recipients int `yaml:"recipients" min:"1" max:"100000" doc:"Recipients of one message."`
}

// Senders are the senders that local users may use.
type Senders map[string][]string

// Status is the `status` section.
type Status struct {
	Listen conf.Listen `yaml:"listen" example:"unix:/run/postcote-mtad/status" doc:"A control socket for ordinary users, for mailq and postqueue; empty for none. It allows what the lists below say, and the administrators what they may do on the control socket."`
	Mailq  []string    `yaml:"authorized_mailq_users" reload:"true" doc:"Who may list the queue."`
	Flush  []string    `yaml:"authorized_flush_users" reload:"true" doc:"Who may have deferred mail tried now."`
}

// DefaultSubmit is the default of `submit`.
func DefaultSubmit() Submit {
	return Submit{
		Listen: conf.Listen{Address: "unix:/run/postcote-mtad/submit", Mode: 0o666}, Socket: "/run/postcote-mtad/submit",
		Users: []string{Anyone}, Exempt: []string{"deliverd", "imapd"}, Rate: 3000, Share: 20000, Recipients: 10000,
	}
}

// DefaultStatus is the default of `status`.
func DefaultStatus() Status { return Status{Mailq: []string{Anyone}, Flush: []string{Anyone}} }

// Path is where programs find the submit socket.
func (s Submit) Path() string {
	if path := s.Listen.Unix(); path != "" {
		return path
	}
	return s.Socket
}

// Validate reports what the tags cannot say.
func (s Submit) Validate(p *conf.Reporter) {
	if s.Listen.TCP() != "" {
		p.At("listen").Hint(`write "unix:/path" or "systemd:NAME"`).Errorf("local users are known on Unix sockets only")
	}
	for user, list := range s.Senders {
		for i, pattern := range list {
			if !validPattern(pattern) {
				p.At("login_senders[%s][%d]", user, i).Hint("write an address, @domain, <> or *").Errorf("%q is no sender", pattern)
			}
		}
	}
}

func validPattern(s string) bool {
	if s == "*" || s == "<>" {
		return true
	}
	if domain, ok := strings.CutPrefix(s, "@"); ok {
		_, err := addr.Domain(domain)
		return err == nil
	}
	a, err := addr.Parse(s)
	return err == nil && a.Domain != ""
}
