package authconf

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/identity/policy"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/slots"
	"github.com/postcote/postcote/pkg/identity/throttle/redis"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Config is the file authd.yaml.
type Config struct {
	Listeners []Listener `yaml:"listeners" doc:"The sockets, each of one type. What a peer may ask depends on the type of the socket it uses."`

	Passdb    []Passdb            `yaml:"passdb" reload:"true" doc:"Password databases, asked in this order."`
	Userdb    []Userdb            `yaml:"userdb" reload:"true" doc:"User databases, asked in this order: where a user's mail is."`
	Databases map[string]Database `yaml:"databases" reload:"true" example:"{mail: {driver: pgsql, hosts: [localhost], dbname: mail, user: authd}}" doc:"Connections that entries of passdb and userdb share, by name."`
	Users     Users               `yaml:"users" reload:"true" doc:"What is true of all users, and where nothing else says."`

	Passwords Passwords     `yaml:"passwords" doc:"How passwords are stored and checked."`
	Login     Login         `yaml:"login" doc:"How clients prove who they are."`
	Cache     Cache         `yaml:"cache" reload:"true" doc:"What is remembered of databases and passwords."`
	Redis     redis.Config  `yaml:"redis" reload:"true" doc:"Failed logins, remembered for several nodes together."`
	Policy    policy.Config `yaml:"policy" reload:"true" doc:"A server that is asked about logins (weakforced)."`
	Limits    Limits        `yaml:"limits" doc:"What is done at a time."`

	service.Common `yaml:",inline"`
}

// Socketmap is the listener type that the auth protocols do not have.
const Socketmap = "socketmap"

// Listener is one entry of `listeners`.
type Listener struct {
	Type   string      `yaml:"type" oneof:"client|client-2.4|login|userdb|master|exists|socketmap" doc:"client: check a password (mtad, Postfix, Exim). client-2.4: the same in the manner of Dovecot 2.4, which can also offer mechanisms with channel binding (mtad, Postfix; not Exim). login: as client-2.4, and the login can be redeemed once (imapd's login role). master: redeem logins, and all of userdb (imapd's session role). userdb: where a user's mail is, list users (deliverd, imapd). exists: whether there is such a user (mtad). socketmap: tables for mtad and Postfix: domains, users, aliases, senders (who may send as an address), relays."`
	Listen conf.Listen `yaml:"listen" doc:"Address: unix:/path or systemd:NAME; for containers also host:port with allow_networks, unless the type is login or master: passwords cross that network readable. master and userdb must say in allow or by the mode who may connect; a userdb socket of mode 0666 tells everybody but its owner and group about themselves only."`
}

// Preset gives an entry its defaults before it is read.
func (l *Listener) Preset() { *l = Listener{Type: authserver.Client.String()} }

// Users is the `users` section.
type Users struct {
	File          string            `yaml:"file" path:"read" reload:"true" example:"/var/lib/postcote/authd/users" doc:"The file of entries of passdb and userdb with driver passwd-file and no section: passwords and users, in Dovecot's passwd-file format. It is read again whenever it changes."`
	DefaultDomain string            `yaml:"default_domain" reload:"true" example:"example.org" doc:"Domain of user names that come without one; empty leaves them as they are."`
	Domains       []string          `yaml:"domains" reload:"true" doc:"Domains that are ours beside those of the users."`
	UID           int               `yaml:"uid" min:"0" reload:"true" doc:"Numeric user id that owns a user's mail where the database does not say; 0 tells none. Postcote needs none, Dovecot does."`
	GID           int               `yaml:"gid" min:"0" reload:"true" doc:"The same for the group id."`
	Home          string            `yaml:"home" reload:"true" doc:"Home of users for whom the database does not say. %u is the name, %n the part before the @, %d the domain, %1n the first letter."`
	Fields        map[string]string `yaml:"fields" reload:"true" doc:"Further userdb fields for users whose database does not set them, such as mail for Dovecot. They can contain variables."`
}

// Passwords is the `passwords` section.
type Passwords struct {
	Scheme       string    `yaml:"scheme" oneof:"ARGON2ID|BLF-CRYPT|SHA512-CRYPT|SHA256-CRYPT|PBKDF2|SCRAM-SHA-256|SCRAM-SHA-1" doc:"How authd's commands store new passwords. Only SCRAM-* serve the mechanism of that name; they are checked for PLAIN and LOGIN too."`
	AllowSchemes []string  `yaml:"allow_schemes" reload:"true" doc:"Weak schemes that are refused unless named here: those that keep passwords readable (PLAIN, CLEARTEXT), have no salt (SHA256) or are built on MD5 or DES (MD5-CRYPT, DES-CRYPT, CRAM-MD5). 'authd hash --list' says which are weak."`
	MaxMemory    conf.Size `yaml:"max_memory" min:"1MiB" max:"4GiB" reload:"true" doc:"Memory that checking one password may take; a stored password that needs more cannot be used."`
	Slots        int       `yaml:"slots" min:"0" max:"1024" doc:"Passwords checked at a time, on threads of low priority; 0 means one less than there are cores."`
	Queue        int       `yaml:"queue" min:"1" max:"100000" doc:"Passwords that may wait for a slot; further logins get a temporary failure."`
	Rehash       bool      `yaml:"rehash" reload:"true" doc:"After a login store the password anew, by scheme, if it was stored by a weaker one. The database must be one that authd can write to."`
}

// Login is the `login` section.
type Login struct {
	Mechanisms          []string       `yaml:"mechanisms" min:"1" reload:"true" doc:"SASL mechanisms that are offered."`
	FailureDelay        conf.Duration  `yaml:"failure_delay" max:"1m" reload:"true" doc:"How long a refusal is held back."`
	Penalty             bool           `yaml:"penalty" reload:"true" doc:"Make an address that failed wait before its next try: 2, 4, 8, then 15 seconds."`
	Trusted             []conf.Network `yaml:"trusted_networks" reload:"true" doc:"Addresses and networks that are never made to wait, such as webmail."`
	UsernameChars       string         `yaml:"username_chars" reload:"true" example:"abcdefghijklmnopqrstuvwxyz0123456789.-_@" doc:"Characters that names of users may have; empty means all. Databases get names in a way that no character can break out of."`
	UsernameTranslation string         `yaml:"username_translation" reload:"true" example:"#@/@" doc:"Pairs of characters; each first one in a name becomes the second."`
	UsernameFormat      string         `yaml:"username_format" reload:"true" example:"%{user | username}" doc:"Makes the name that is looked up; empty takes it as it is. Names are in lower case in any event."`
	MasterSeparator     string         `yaml:"master_user_separator" reload:"true" example:"*" doc:"Between user and master in the name of a master login, user*master; empty means none."`
	AnonymousUsername   string         `yaml:"anonymous_username" reload:"true" doc:"Who logs in by ANONYMOUS; nobody can by another mechanism. Empty means nobody."`
	Rules               []Rule         `yaml:"rules" reload:"true" example:"{services: [pop3], action: deny}" doc:"Who may log in to what, from where. The first rule that fits counts; without one the login is allowed."`

	RedeemWithin   conf.Duration `yaml:"redeem_within" min:"1s" max:"150s" doc:"How long a login on a socket of type login can be redeemed. A real Dovecot expects 150s."`
	RequestTimeout conf.Duration `yaml:"request_timeout" min:"5s" max:"10m" doc:"How long a client may take to respond to a challenge, and a check to be decided."`
}

// Rule is an entry of `login.rules`.
type Rule struct {
	Services   []string       `yaml:"services" example:"[imap, pop3]" doc:"Services that the rule is for; empty means all."`
	Networks   []conf.Network `yaml:"networks" doc:"Networks of clients; empty means all."`
	Users      string         `yaml:"users" example:"*@example.org !admin@*" doc:"Masks of names, as in username_filter; empty means all."`
	Mechanisms []string       `yaml:"mechanisms" doc:"SASL mechanisms; empty means all."`
	Action     string         `yaml:"action" oneof:"allow|deny|secured" doc:"allow: no rule below counts. deny: nobody logs in this way. secured: only over encrypted or local connections."`
}

// Preset gives an entry its defaults before it is read.
func (r *Rule) Preset() { *r = Rule{Action: "allow"} }

// Cache is the `cache` section.
type Cache struct {
	Size        conf.Size     `yaml:"size" max:"16GiB" doc:"Memory for what is remembered; 0B turns all of it off."`
	VerifiedTTL conf.Duration `yaml:"verified_ttl" max:"24h" doc:"How long it is remembered that a password was, or was not, the stored one, so that the same one need not be hashed again. A changed password counts at once."`
	TTL         conf.Duration `yaml:"ttl" max:"24h" doc:"How long answers of databases over a network (sql, ldap, imap) are used again. Until then an old password stays good and a changed record is not seen; 'authd cache flush' ends it. 0s asks each time."`
	NegativeTTL conf.Duration `yaml:"negative_ttl" max:"24h" doc:"The same for users that do not exist and for wrong passwords."`
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
	var passwords Passdb
	var users Userdb
	passwords.Preset()
	users.Preset()
	return Config{
		Listeners: []Listener{
			at(authserver.Client24, "auth-smtp"),
			at(authserver.Client, "auth-client"),
			at(authserver.Login, "login"),
			at(authserver.Master, "auth-master", "imapd"),
			at(authserver.Userdb, "auth-userdb", "deliverd", "imapd"),
			at(authserver.Exists, "auth-exists"),
			{Socketmap, conf.Listen{Address: "unix:/run/postcote-authd/socketmap", Mode: 0o660}},
		},
		Passdb: []Passdb{passwords},
		Userdb: []Userdb{users},
		Users: Users{
			Home:   "/var/mail/postcote/%d/%n",
			Fields: map[string]string{"mail": "maildir:~/Maildir"},
		},
		Passwords: Passwords{
			Scheme: scheme.Default, MaxMemory: 256 << 20, Queue: 1000,
		},
		Login: Login{
			Mechanisms: []string{"PLAIN", "LOGIN"}, FailureDelay: conf.Duration(2 * time.Second), Penalty: true,
			Trusted:      []conf.Network{conf.MustNetwork("127.0.0.0/8"), conf.MustNetwork("::1/128")},
			RedeemWithin: conf.Duration(30 * time.Second), RequestTimeout: conf.Duration(150 * time.Second),
		},
		Cache:  Cache{Size: 32 << 20, VerifiedTTL: conf.Duration(5 * time.Minute), NegativeTTL: conf.Duration(time.Minute)},
		Redis:  redis.DefaultConfig(),
		Policy: policy.DefaultConfig(),
		Limits: Limits{Connections: 2000, Requests: 10000},
		Common: service.DefaultCommon("authd"),
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if len(c.Listeners) == 0 {
		p.At("listeners").Errorf("there is none, so nobody could ask")
	}
	c.validateChains(p)
	c.validateLogin(p)
	for i, s := range c.Passwords.AllowSchemes {
		if !slices.Contains(scheme.Weak(), strings.ToUpper(s)) {
			p.At("passwords.allow_schemes[%d]", i).Hint("weak are: %s", strings.Join(scheme.Weak(), ", ")).Errorf("%q is on anyway, or not known", s)
		}
	}
	c.Users.validate(p.At("users"))
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
