package authconf

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/slots"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Config is the file authd.yaml.
type Config struct {
	Listeners []Listener `yaml:"listeners" doc:"The sockets, each of one type. What a peer may ask depends on the type of the socket it uses."`
	Users     Users      `yaml:"users" reload:"true" doc:"Who has a mailbox, and where."`
	Passwords Passwords  `yaml:"passwords" doc:"How passwords are stored and checked."`
	Login     Login      `yaml:"login" doc:"How clients prove who they are."`
	Limits    Limits     `yaml:"limits" doc:"What is done at a time."`

	service.Common `yaml:",inline"`
}

// Socketmap is the listener type that the auth protocols do not have.
const Socketmap = "socketmap"

// Listener is one entry of `listeners`.
type Listener struct {
	Type   string      `yaml:"type" oneof:"client|client-2.4|login|userdb|master|exists|socketmap" doc:"client: check a password (mtad, Postfix, Exim). client-2.4: the same in the manner of Dovecot 2.4, which can also offer mechanisms with channel binding (mtad, Postfix; not Exim). login: as client-2.4, and the login can be redeemed once (imapd's login role). master: redeem logins, and all of userdb (imapd's session role). userdb: where a user's mail is, list users (deliverd, imapd). exists: whether there is such a user (mtad). socketmap: the same question and 'is this domain ours' for Postfix, maps users and domains."`
	Listen conf.Listen `yaml:"listen" doc:"Address: unix:/path or systemd:NAME; for containers also host:port with allow_networks, unless the type is login or master: passwords cross that network readable. master and userdb must say in allow or by the mode who may connect; a userdb socket of mode 0666 tells everybody but its owner and group about themselves only."`
}

// Preset gives an entry its defaults before it is read.
func (l *Listener) Preset() { *l = Listener{Type: authserver.Client.String()} }

// Users is the `users` section.
type Users struct {
	File          string            `yaml:"file" path:"read" reload:"true" doc:"Passwords and users, in Dovecot's passwd-file format. It is read again whenever it changes."`
	DefaultDomain string            `yaml:"default_domain" reload:"true" example:"example.org" doc:"Domain of user names that come without one; empty leaves them as they are."`
	Domains       []string          `yaml:"domains" reload:"true" doc:"Domains that are ours beside those of the users."`
	UID           int               `yaml:"uid" min:"0" reload:"true" doc:"Numeric user id that owns a user's mail where the file does not say; 0 tells none. Postcote needs none, Dovecot does."`
	GID           int               `yaml:"gid" min:"0" reload:"true" doc:"The same for the group id."`
	Home          string            `yaml:"home" reload:"true" doc:"Home of users for whom the file does not say. %u is the name, %n the part before the @, %d the domain, %1n the first letter."`
	Fields        map[string]string `yaml:"fields" reload:"true" doc:"Further userdb fields for users whose line does not set them, such as mail for Dovecot."`
}

// Passwords is the `passwords` section.
type Passwords struct {
	Scheme       string        `yaml:"scheme" oneof:"ARGON2ID|BLF-CRYPT|SHA512-CRYPT|SHA256-CRYPT|PBKDF2|SCRAM-SHA-256|SCRAM-SHA-1" doc:"How authd's commands store new passwords. Only SCRAM-* serve the mechanism of that name; they are checked for PLAIN and LOGIN too."`
	AllowSchemes []string      `yaml:"allow_schemes" reload:"true" doc:"Weak schemes that are refused unless named here: those that keep passwords readable (PLAIN, CLEARTEXT), have no salt (SHA256) or are built on MD5 or DES (MD5-CRYPT, DES-CRYPT, CRAM-MD5). 'authd hash --list' says which are weak."`
	MaxMemory    conf.Size     `yaml:"max_memory" min:"1MiB" max:"4GiB" reload:"true" doc:"Memory that checking one password may take; a stored password that needs more cannot be used."`
	Slots        int           `yaml:"slots" min:"0" max:"1024" doc:"Passwords checked at a time, on threads of low priority; 0 means one less than there are cores."`
	Queue        int           `yaml:"queue" min:"1" max:"100000" doc:"Passwords that may wait for a slot; further logins get a temporary failure."`
	CacheTTL     conf.Duration `yaml:"cache_ttl" max:"24h" reload:"true" doc:"How long a successful check is remembered, so that the same password needs no new one; 0s turns this off. A changed password counts at once."`
	CacheSize    int           `yaml:"cache_size" min:"0" max:"10000000" reload:"true" doc:"Successful checks that are remembered."`
}

// Login is the `login` section.
type Login struct {
	Mechanisms     []string       `yaml:"mechanisms" min:"1" reload:"true" doc:"SASL mechanisms that are offered."`
	FailureDelay   conf.Duration  `yaml:"failure_delay" max:"1m" reload:"true" doc:"How long a refusal is held back."`
	Penalty        bool           `yaml:"penalty" reload:"true" doc:"Make an address that failed wait before its next try: 2, 4, 8, then 15 seconds."`
	Trusted        []conf.Network `yaml:"trusted_networks" reload:"true" doc:"Addresses and networks that are never made to wait, such as webmail."`
	RedeemWithin   conf.Duration  `yaml:"redeem_within" min:"1s" max:"150s" doc:"How long a login on a socket of type login can be redeemed. A real Dovecot expects 150s."`
	RequestTimeout conf.Duration  `yaml:"request_timeout" min:"5s" max:"10m" doc:"How long a client may take to respond to a challenge, and a check to be decided."`
}

// Limits is the `limits` section.
type Limits struct {
	Connections int `yaml:"connections" min:"1" doc:"Connections to each listener. Postfix keeps one for each smtpd process."`
	Requests    int `yaml:"requests" min:"1" max:"100000" doc:"Logins in progress on one connection."`
}

// Default is the configuration without a file.
func Default() Config {
	at := func(kind authserver.Kind, name string, allow ...string) Listener {
		return Listener{kind.String(), conf.Listen{Address: "unix:/run/postcote-authd/" + name, Mode: 0o660, Allow: allow}}
	}
	return Config{
		Listeners: []Listener{
			at(authserver.Client, "auth-client"),
			at(authserver.Login, "login"),
			at(authserver.Master, "auth-master", "imapd"),
			at(authserver.Userdb, "auth-userdb", "deliverd", "imapd"),
			at(authserver.Exists, "auth-exists"),
			{Socketmap, conf.Listen{Address: "unix:/run/postcote-authd/socketmap", Mode: 0o660}},
		},
		Users: Users{
			File:   "/var/lib/postcote/authd/users",
			Home:   "/var/mail/postcote/%d/%n",
			Fields: map[string]string{"mail": "maildir:~/Maildir"},
		},
		Passwords: Passwords{
			Scheme: scheme.Default, MaxMemory: 256 << 20, Queue: 1000,
			CacheTTL: conf.Duration(5 * time.Minute), CacheSize: 10000,
		},
		Login: Login{
			Mechanisms: []string{"PLAIN", "LOGIN"}, FailureDelay: conf.Duration(2 * time.Second), Penalty: true,
			Trusted:      []conf.Network{conf.MustNetwork("127.0.0.0/8"), conf.MustNetwork("::1/128")},
			RedeemWithin: conf.Duration(30 * time.Second), RequestTimeout: conf.Duration(150 * time.Second),
		},
		Limits: Limits{Connections: 2000, Requests: 10000},
		Common: service.DefaultCommon("authd"),
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if len(c.Listeners) == 0 {
		p.At("listeners").Errorf("there is none, so nobody could ask")
	}
	if !strings.HasPrefix(c.Users.File, "/") {
		p.At("users.file").Errorf("%q is not an absolute path", c.Users.File)
	}
	if t, err := userdb.ParseTemplate(c.Users.Home); err != nil {
		p.At("users.home").Errorf("%v", err)
	} else if !t.Empty() && account.CheckHome(t.Expand("name@domain")) != nil {
		p.At("users.home").Errorf("%q is not an absolute path", c.Users.Home)
	}
	for i, m := range c.Login.Mechanisms {
		if _, ok := sasl.Find(m); !ok {
			p.At("login.mechanisms[%d]", i).Hint("known: %s", mechNames()).Errorf("%q is not known", m)
		}
	}
	for i, s := range c.Passwords.AllowSchemes {
		if !slices.Contains(scheme.Weak(), strings.ToUpper(s)) {
			p.At("passwords.allow_schemes[%d]", i).Hint("weak are: %s", strings.Join(scheme.Weak(), ", ")).Errorf("%q is on anyway, or not known", s)
		}
	}
	for key := range c.Users.Fields {
		if key == "" || strings.ContainsAny(key, "= \t") || slices.Contains([]string{"uid", "gid", "home", "password"}, key) {
			p.At("users.fields").Errorf("%q cannot be set here", key)
		}
	}
}

func mechNames() string {
	var names []string
	for _, m := range sasl.Mechanisms() {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

// Validate holds listeners to what their type may be exposed to.
func (l Listener) Validate(p *conf.Reporter) {
	if l.Listen.Address == "" {
		p.At("listen").Errorf("the address is missing")
		return
	}
	if tcp := l.Listen.TCP(); tcp != "" {
		l.validateTCP(p, tcp)
		return
	}
	master, userdb := l.is(authserver.Master), l.is(authserver.Userdb)
	open := l.Listen.Unix() != "" && l.Listen.Mode&0o002 != 0 && len(l.Listen.Allow) == 0
	if open && (master || userdb && l.Listen.Mode != conf.FileMode(authserver.OpenMode)) {
		p.At("listen.mode").Hint("write 0660, or name the users in allow").Errorf("everybody on this host could connect to a socket of type %s", l.Type)
	}
}

// validateTCP: over a network nobody says who asks but its address, and what is
// said can be read on the way.
func (l Listener) validateTCP(p *conf.Reporter, hostport string) {
	switch {
	case l.is(authserver.Master) || l.is(authserver.Login):
		p.At("listen").Hint("write unix:/path or systemd:NAME").Errorf("a socket of type %s must be local: the kernel has to say who asks", l.Type)
	case len(l.Listen.AllowNetworks) > 0:
	case l.is(authserver.Userdb):
		p.At("listen").Hint(`add allow_networks, such as ["172.18.0.5"]`).Errorf("everybody who reaches %s could list the users", hostport)
	case !loopback(hostport):
		p.At("listen").Hint(`write unix:/path, or add allow_networks such as ["172.18.0.0/16"]`).Errorf("everybody who reaches %s could ask, and passwords would cross the network readable", hostport)
	}
}

func (l Listener) is(kind authserver.Kind) bool { return l.Type == kind.String() }

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && ip.IsLoopback())
}

// SlotCount is Slots or what fits the cores.
func (p Passwords) SlotCount(cores int) int {
	if p.Slots > 0 {
		return p.Slots
	}
	return slots.Default(cores)
}

// Policy is what stored passwords may be.
func (p Passwords) Policy() scheme.Policy {
	return scheme.Policy{MaxMemoryKiB: uint32(p.MaxMemory.Int64() >> 10), Allow: p.AllowSchemes}
}
