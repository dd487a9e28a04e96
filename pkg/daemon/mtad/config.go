package mtad

import (
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/edge"
	"github.com/postcote/postcote/pkg/daemon/mtad/localmail"
	"github.com/postcote/postcote/pkg/daemon/mtad/rewriting"
	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/daemon/mtad/verifying"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/bounce"
	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/dnsx"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// Config is the file mtad.yaml.
type Config struct {
	Hostname  string     `yaml:"hostname" example:"mail.example.org" doc:"This host's full name: in the banner, EHLO, Received fields and queue reports. Empty takes the system's."`
	Listeners []Listener `yaml:"listeners" doc:"Where mail is taken from the network."`

	Submit localmail.Submit `yaml:"submit" doc:"The socket on which local programs hand in mail, by SMTP."`
	Status localmail.Status `yaml:"status" doc:"The socket on which local users see the queue."`

	TLS tlsx.Config `yaml:"tls" doc:"Certificates for the listeners."`

	AuthSocket   string `yaml:"auth_socket" path:"connect" doc:"authd's socket of type client-2.4 (or a Dovecot's auth-client), which checks logins. One of type client will do, but offers no mechanisms with channel binding. Empty: nobody can log in."`
	ExistsSocket string `yaml:"exists_socket" path:"connect" doc:"authd's exists socket (or a Dovecot's auth-userdb), which knows the mailboxes. Empty: every address in the mailbox domains is taken."`

	LookupCache conf.Duration `yaml:"lookup_cache" max:"5m" reload:"true" doc:"How long it is remembered that a mailbox (exists_socket) or a domain (domains.tables) is there; 0s asks for every recipient. Other answers are not remembered. Mail for what was deleted, or went over its quota, in this time is accepted and returned when it cannot be delivered."`

	Domains    routing.Domains  `yaml:"domains" reload:"true" doc:"The domains this host takes mail for."`
	Postmaster string           `yaml:"postmaster" reload:"true" example:"admin@example.org" doc:"Mailbox for mail to postmaster without a domain or at this host's name. Empty: postmaster at the first mailbox domain."`
	Trusted    []conf.Network   `yaml:"trusted_networks" reload:"true" doc:"Addresses and networks (1.2.3.0/24) whose hosts may send to anywhere through the listeners of role mx."`
	Delimiter  string           `yaml:"recipient_delimiter" reload:"true" max:"8" doc:"Characters that separate a user name from its detail, as in user+detail; empty for none."`
	Deliver    Deliver          `yaml:"deliver" reload:"true" doc:"How mail reaches the mailboxes."`
	Rewrite    rewriting.Config `yaml:"rewrite" reload:"true" doc:"What addresses become."`

	routing.Config `yaml:",inline"`

	Remote Remote      `yaml:"remote" reload:"true" doc:"How mail is sent to other hosts."`
	DNS    dnsx.Config `yaml:"dns" doc:"Name servers."`

	Verify verifying.Config `yaml:"address_verify" doc:"How it is found out whether other hosts take mail for an address."`

	Smtpd edge.Config `yaml:"smtpd" reload:"true" doc:"What listeners demand of their clients and tell them; the submit socket has none of it."`

	MessageSize conf.Size `yaml:"message_size_limit" min:"64KiB" max:"1GiB" reload:"true" doc:"The largest message that is taken."`
	ClientNames bool      `yaml:"client_names" reload:"true" doc:"Look up the name of each client and confirm it; without, all are unknown."`
	Limits      Limits    `yaml:"limits" reload:"true" doc:"What one client may do."`
	Timeouts    Timeouts  `yaml:"timeouts" reload:"true" doc:"How long clients are waited for."`
	DSN         bool      `yaml:"dsn" reload:"true" doc:"Announce DSN (RFC 3461): senders may ask for reports of success, delay and failure."`
	UTF8        bool      `yaml:"smtputf8_enable" reload:"true" doc:"Announce SMTPUTF8 (RFC 6531): senders may have addresses and headers in UTF-8. What needs it is returned where the next host does not offer it."`
	StrictUTF8  bool      `yaml:"strict_smtputf8" reload:"true" doc:"Refuse addresses in UTF-8 from clients that do not say SMTPUTF8 at MAIL. Otherwise they count as if it had been said."`
	DetectUTF8  []string  `yaml:"smtputf8_autodetect_classes" oneof:"sendmail|verify" reload:"true" doc:"Where SMTPUTF8 is found to be needed without being asked for: sendmail is mail of local programs with headers in UTF-8, verify are probes of such addresses."`
	DelayDigits int       `yaml:"delay_logging_resolution_limit" min:"0" max:"6" reload:"true" doc:"Decimals of the seconds in delay= and delays= of the log, two significant digits at most."`
	// DoubleBounce stands beside the section, as it is about probes too.
	DoubleBounce string `yaml:"double_bounce_sender" reload:"true" doc:"An address, or a name at rewrite.myorigin, whose mail is taken and dropped; the sender of probes unless address_verify.sender is set. Notices to the postmaster have the null sender."`
	Bounce       Bounce `yaml:"bounce" reload:"true" doc:"What notifications look like."`
	Queue        Queue  `yaml:"queue" doc:"Where mail is kept, and when it is tried again."`

	service.Common `yaml:",inline"`

	lookups lookup.Options               // how the daemon opens tables, see tables
	warn    func(text string, err error) // where warnings of a running daemon go; nil for nowhere
}

// Roles of a listener.
const (
	RoleMX         = "mx"
	RoleSubmission = "submission"
)

// TLS modes of a listener.
const (
	TLSNone     = "none"
	TLSStart    = "starttls"
	TLSRequired = "required"
	TLSImplicit = "implicit"
)

// Logins on a listener.
const (
	AuthNone  = "none"
	AuthTLS   = "tls"
	AuthClear = "clear"
)

// Classes of mail in which it is found out whether SMTPUTF8 is needed.
const (
	DetectSendmail = "sendmail"
	DetectVerify   = "verify"
)

// CertRequired is the client_cert of a listener for known certificates only.
const CertRequired = "require"

// Listener is one entry of `listeners`.
type Listener struct {
	Listen     conf.Listen `yaml:"listen" doc:"Address, or systemd:NAME."`
	Name       string      `yaml:"name,omitempty" example:"smtpd" doc:"Name in logs and metrics, as in postfix/NAME[pid]. Empty: smtpd for role mx, submission/smtpd and smtps/smtpd for submission."`
	Role       string      `yaml:"role" oneof:"mx|submission" doc:"mx takes mail for our domains from anybody; submission takes mail for anywhere from those who log in."`
	TLS        string      `yaml:"tls" oneof:"none|starttls|required|implicit" doc:"starttls offers encryption (and demands it for submission), required takes nothing before it (on port 25 that is against RFC 3207), implicit encrypts from the first byte."`
	HAProxy    bool        `yaml:"haproxy" doc:"Connections begin with a PROXY header (version 1 or 2), which says who the client is; see smtpd.haproxy_trusted_networks."`
	Auth       string      `yaml:"auth" oneof:"none|tls|clear" doc:"Whether clients may log in: not at all, over TLS only, or in the clear too."`
	ClientCert string      `yaml:"client_cert" oneof:"|ask|require" doc:"Certificates of clients. Empty: asked for where clients can log in, if there is tls.client_ca_file. ask asks everybody; require takes no connection without one that leads to tls.client_ca_file, and needs tls: required or implicit."`
	SoftBounce bool        `yaml:"soft_bounce" doc:"Refuse nothing here for good, as queue.soft_bounce does everywhere."`
	HideClient bool        `yaml:"hide_client_session" doc:"Say nothing of the client in the Received field of messages that come here: no address, name, login or TLS."`
	Owner      string      `yaml:"sender_login" oneof:"none|known|unauthenticated|authenticated|all" doc:"Who may use a sender address of rewrite.sender_login_maps: none does not ask; known refuses an address that belongs to somebody else or, without a login, to anybody; unauthenticated does the latter only; authenticated refuses users every address that is not listed for them; all does both."`
}

// Preset gives an entry its defaults before it is read: a plain MX.
func (l *Listener) Preset() { *l = Listener{Role: RoleMX, TLS: TLSStart, Auth: AuthTLS, Owner: "none"} }

// label is Name or its default.
func (l Listener) label() string {
	switch {
	case l.Name != "":
		return l.Name
	case l.Role == RoleMX:
		return "smtpd"
	case l.TLS == TLSImplicit:
		return "smtps/smtpd"
	}
	return "submission/smtpd"
}

// Deliver is the `deliver` section.
type Deliver struct {
	LMTP    string `yaml:"lmtp" doc:"The delivery agent: unix:/path, or host:port."`
	Forward bool   `yaml:"send_xforward_command" doc:"Tell it from whom the message came, if it announces XFORWARD."`
	Flags   string `yaml:"flags" example:"DO" doc:"Fields put before each message: D for Delivered-To, O for X-Original-To (each recipient then gets a message of its own), R for Return-Path."`
	TLSLog  int    `yaml:"tls_loglevel" min:"0" max:"4" doc:"As remote.tls_loglevel, for delivery agents that are reached over TCP."`

	routing.Timeouts `yaml:",inline"`
}

// Remote is the `remote` section.
type Remote struct {
	TLS              string          `yaml:"tls" oneof:"none|may|encrypt|fingerprint|verify|secure" doc:"Encryption towards other hosts, as Postfix's smtp_tls_security_level: never; when it works (where it breaks, mail goes in the clear once it has waited queue.min_backoff); or else not at all; and besides only with a certificate of tls_fingerprints, one for the host's name, or one for the next hop's."`
	TLSPolicies      []string        `yaml:"tls_policy_maps" example:"texthash:/etc/postcote/tls_policy" doc:"Tables with the level of some destinations, as Postfix's smtp_tls_policy_maps: the key is the next hop as it is written ([host]:port), or a domain or its .parent; the value a level, and attributes such as match=name:.parent and servername=name."`
	TLSCAFile        string          `yaml:"tls_ca_file" path:"read" doc:"PEM file, or folder of such files, with the authorities that certificates must lead to at the levels verify and secure. Empty takes the system's."`
	TLSCertFile      string          `yaml:"tls_cert_file" path:"read" doc:"PEM file with our certificate and its intermediates, for hosts that ask for one. It is read again for each of them."`
	TLSKeyFile       string          `yaml:"tls_key_file" path:"read" doc:"PEM file with its private key."`
	TLSVerifyMatch   []string        `yaml:"tls_verify_cert_match" doc:"At verify, one of these must be a name of the certificate: hostname, nexthop, dot-nexthop (anything below it), a name, or .parent."`
	TLSSecureMatch   []string        `yaml:"tls_secure_cert_match" doc:"The same at secure."`
	TLSProtocols     string          `yaml:"tls_protocols" example:"\">=TLSv1.3\"" doc:"Versions of TLS at may, as Postfix writes them: >=TLSv1.2, <=TLSv1.2, names, and !name. Older ones than TLSv1.2 are never spoken."`
	TLSMandatory     string          `yaml:"tls_mandatory_protocols" example:"\">=TLSv1.3\"" doc:"The same at encrypt and above, where a policy does not say otherwise."`
	TLSFingerprints  []string        `yaml:"tls_fingerprints" doc:"At fingerprint, the SHA-256 or SHA-512 of the certificate, or of its public key, must be one of these. A policy has its own by match=."`
	TLSLog           int             `yaml:"tls_loglevel" min:"0" max:"4" doc:"1 writes a line for each connection with TLS, with what was agreed on, and whether its certificate is Verified (as the level demands), Trusted (it leads to tls_ca_file) or Untrusted; more is no more. Handshakes that fail are always told."`
	Port             int             `yaml:"port" min:"1" max:"65535" doc:"Port of mail exchangers."`
	RelayCredentials conf.SecretFile `yaml:"relayhost_credentials_file" doc:"File with user:password for relayhost. They are sent over TLS only."`
	ConnectTimeout   conf.Duration   `yaml:"connect_timeout" min:"1s" max:"10m" doc:"How long to wait for a connection."`
	Prefer           string          `yaml:"address_preference" oneof:"any|ipv4|ipv6" doc:"Which addresses of hosts of equal preference are tried first. An outage of the preferred protocol delays all mail."`
	Protocols        string          `yaml:"inet_protocols" oneof:"all|ipv4|ipv6" doc:"Which addresses are used at all."`
	Balance          bool            `yaml:"balance_inet_protocols" doc:"Where a destination has more addresses than mx_address_limit, keep some of both protocols."`
	Services         []string        `yaml:"use_srv_lookup" example:"[submission]" doc:"Services whose hosts are found by SRV records (RFC 2782): a next hop host:587 is what _submission._tcp.host says. smtp, submission, submissions (port 465), or a port number. Next hops in brackets are never looked up."`
	ServiceFallback  bool            `yaml:"allow_srv_lookup_fallback" doc:"Where a domain has no such records, ask for its MX."`
	ServiceIgnore    bool            `yaml:"ignore_srv_lookup_error" doc:"The same where it cannot be found out."`
	MaxAddresses     int             `yaml:"mx_address_limit" min:"1" max:"100" doc:"Addresses of a destination that are tried in one attempt."`
	MaxSessions      int             `yaml:"mx_session_limit" min:"1" max:"100" doc:"Hosts that are spoken to in one attempt; the next is asked when one defers a recipient."`
	KeepEightBit     bool            `yaml:"disable_mime_output_conversion" doc:"Send 8-bit text as it is to hosts that do not offer 8BITMIME. Otherwise parts labelled 8bit become quoted-printable for them, which breaks signatures."`
	HeloName         string          `yaml:"helo_name" example:"out.example.org" doc:"The name in EHLO. Empty: hostname."`
	Source           []string        `yaml:"source" example:"192.0.2.25" doc:"Own addresses to connect from, at most one of each family. Transports have their own."`
	LineLength       int             `yaml:"line_length_limit" max:"65536" doc:"Octets of a line; longer ones are broken, the rest behind a space. 0 breaks none, against RFC 5321; signatures over such lines then stay whole."`
	DiscardWords     []string        `yaml:"discard_ehlo_keywords" example:"[chunking]" doc:"EHLO keywords of other hosts that are not used, in any case of letters: pipelining, chunking, size, 8bitmime, dsn, smtputf8, starttls, auth, xforward. A host whose CHUNKING does not work is found out without that."`
	Forward          bool            `yaml:"send_xforward_command" doc:"Tell hosts that announce XFORWARD from whom the message came: for a content filter as relayhost. Transports say so for themselves."`
	Reuse            conf.Duration   `yaml:"reuse" max:"1m" doc:"How long a connection waits for another message to the same host; 0s never does."`

	routing.Sessions `yaml:",inline"`
	routing.Login    `yaml:",inline"`
	routing.Timeouts `yaml:",inline"`
}

// Limits is the `limits` section.
type Limits struct {
	Connections        int           `yaml:"connections" min:"1" doc:"Sessions at a time on one listener."`
	ConnectionsPerPeer int           `yaml:"connections_per_peer" min:"0" doc:"The same from one IPv4 address or IPv6 /64; 0 for no limit. Trusted networks are exempt."`
	Recipients         int           `yaml:"recipients" min:"1" max:"100000" doc:"Recipients of one message."`
	SoftErrors         int           `yaml:"soft_errors" min:"1" doc:"Errors of a session from which on each answer is delayed."`
	JunkCommands       int           `yaml:"junk_commands" min:"1" doc:"NOOP, RSET, VRFY, HELP, ETRN and EHLO between two messages; more of them are errors."`
	Overshoot          int           `yaml:"recipient_overshoot" min:"0" doc:"Recipients behind the limit of recipients that are no errors yet."`
	ConnectionRate     int           `yaml:"connection_rate" min:"0" doc:"Connections of one client to one listener in rate_time_unit; 0, here and in the rates below, for no limit. Trusted networks are exempt."`
	MessageRate        int           `yaml:"message_rate" min:"0" doc:"MAIL commands of one client at one listener in rate_time_unit."`
	RecipientRate      int           `yaml:"recipient_rate" min:"0" doc:"The same for RCPT."`
	TLSRate            int           `yaml:"new_tls_session_rate" min:"0" doc:"The same for TLS handshakes."`
	AuthRate           int           `yaml:"auth_rate" min:"0" doc:"The same for AUTH."`
	RateUnit           conf.Duration `yaml:"rate_time_unit" min:"1s" max:"24h" doc:"What rates are counted in."`
	RateV4             int           `yaml:"ipv4_prefix_length" min:"0" max:"32" doc:"Bits of an IPv4 address that are one client for the rates."`
	RateV6             int           `yaml:"ipv6_prefix_length" min:"0" max:"128" doc:"The same for IPv6."`
	HardErrors         int           `yaml:"hard_errors" min:"1" doc:"Errors that end a session."`
	Header             conf.Size     `yaml:"header_size" min:"4KiB" max:"16MiB" doc:"Of a message's header, where something in it has to be changed. A larger one is then refused; one that stays as it is may have any size."`
	Line               int           `yaml:"line_length" min:"1000" max:"65536" doc:"Octets of a command; a longer one is refused."`
}

// Timeouts is the `timeouts` section.
type Timeouts struct {
	Command conf.Duration `yaml:"command" min:"1s" doc:"For a complete command."`
	Data    conf.Duration `yaml:"data" min:"1s" doc:"For each block of a message."`
	TLS     conf.Duration `yaml:"tls" min:"1s" doc:"For a TLS handshake."`
	DNS     conf.Duration `yaml:"dns" min:"100ms" doc:"For finding out a client's name."`
	MinRate int           `yaml:"min_data_rate" min:"0" doc:"Bytes per second that the content of a message must come at on average; 0 for no such limit."`
	Error   conf.Duration `yaml:"error_delay" max:"1m" doc:"How long each answer is delayed from soft_errors on."`
}

// Bounce is the `bounce` section.
type Bounce struct {
	SizeLimit conf.Size `yaml:"size_limit" doc:"Of larger messages only the header comes back."`
	Templates string    `yaml:"template_file" path:"read" doc:"Texts in place of ours, in the form of Postfix's bounce(5)."`
}

func (r Remote) versions() (may, mandatory tlspolicy.Versions, err error) {
	if may, err = tlspolicy.ParseVersions(r.TLSProtocols); err != nil {
		return may, mandatory, fail.Wrap(fail.Invalid, err, "remote.tls_protocols")
	}
	mandatory, err = tlspolicy.ParseVersions(r.TLSMandatory)
	return may, mandatory, fail.Wrap(fail.Invalid, err, "remote.tls_mandatory_protocols")
}

// services are the ports of use_srv_lookup with the names to ask for.
func (r Remote) services() (map[uint16]string, error) {
	out := map[uint16]string{}
	for _, name := range r.Services {
		port, ok := route.Port(name)
		if !ok {
			return nil, fail.New(fail.Invalid, "remote.use_srv_lookup: %q is neither a port number nor a service of mail", name)
		}
		out[port] = name
	}
	return out, nil
}

// templates are the texts of notifications, in which parameters have the values
// that postconf shows.
func (b Bounce) templates(c Config) (bounce.Templates, error) {
	if b.Templates == "" {
		return bounce.Templates{}, nil
	}
	text, err := disk.ReadFile(disk.OS(), b.Templates, bounce.MaxTemplates)
	if err != nil {
		return bounce.Templates{}, err
	}
	t, err := bounce.ParseTemplates(string(text), func(name string) (string, bool) {
		for _, p := range mainCF() {
			if p.name == name {
				return p.value(&c), true
			}
		}
		return "", false
	})
	return t, fail.Wrap(fail.Invalid, err, "%s", b.Templates)
}

// Queue is the `queue` section.
type Queue struct {
	Dir            string `yaml:"dir" path:"dir" doc:"Directory of the queue."`
	queue.Settings `yaml:",inline"`
}

// Default is the configuration without a file.
func Default() Config {
	return Config{
		Listeners: []Listener{
			{Listen: conf.Listen{Address: ":25"}, Role: RoleMX, TLS: TLSStart, Auth: AuthNone, Owner: "none"},
			{Listen: conf.Listen{Address: ":587"}, Role: RoleSubmission, TLS: TLSStart, Auth: AuthTLS, Owner: "none"},
			{Listen: conf.Listen{Address: ":465"}, Role: RoleSubmission, TLS: TLSImplicit, Auth: AuthTLS, Owner: "none"},
		},
		Submit:       localmail.DefaultSubmit(),
		Status:       localmail.DefaultStatus(),
		TLS:          defaultTLS(),
		AuthSocket:   "/run/postcote-authd/auth-smtp",
		ExistsSocket: "/run/postcote-authd/auth-exists",
		LookupCache:  conf.Duration(10 * time.Second),
		Domains:      routing.Domains{Tables: []string{"socketmap:unix:/run/postcote-authd/socketmap:domains"}},
		Trusted:      []conf.Network{conf.MustNetwork("127.0.0.1/32"), conf.MustNetwork("::1/128")},
		Delimiter:    "+",
		Rewrite:      rewriting.Default(),
		Deliver:      Deliver{LMTP: "unix:/run/postcote-deliverd/lmtp", Timeouts: routing.DefaultTimeouts()},
		Remote: Remote{
			TLS: "may", Port: 25,
			TLSVerifyMatch: tlspolicy.StandardDefaults().Verify, TLSSecureMatch: tlspolicy.StandardDefaults().Secure,
			Prefer: "any", Protocols: "all", Balance: true, MaxAddresses: remote.MaxAddresses, MaxSessions: remote.MaxSessions,
			TLSProtocols: ">=TLSv1.2", TLSMandatory: ">=TLSv1.2",
			LineLength: 998, ConnectTimeout: conf.Duration(30 * time.Second), Reuse: conf.Duration(2 * time.Second),
			Sessions: routing.DefaultSessions(), Login: routing.DefaultLogin(), Timeouts: routing.DefaultTimeouts(),
		},
		DNS:         dnsx.DefaultConfig(),
		MessageSize: 50 << 20,
		Verify:      verifying.Default(),
		Smtpd:       edge.DefaultConfig(),
		ClientNames: true,
		Limits:      Limits{Connections: 10000, ConnectionsPerPeer: 50, Recipients: 1000, SoftErrors: 10, HardErrors: 20, JunkCommands: 100, Overshoot: 1000, Line: 2048, Header: header.MaxBlock, RateUnit: conf.Duration(time.Minute), RateV4: 32, RateV6: 84},
		Timeouts: Timeouts{
			Command: conf.Duration(5 * time.Minute), Data: conf.Duration(5 * time.Minute), TLS: conf.Duration(time.Minute),
			DNS: conf.Duration(5 * time.Second), Error: conf.Duration(time.Second), MinRate: 500,
		},
		DSN: true, UTF8: true, DetectUTF8: []string{DetectSendmail, DetectVerify}, DelayDigits: 2, DoubleBounce: "double-bounce",
		Bounce: Bounce{SizeLimit: bounce.DefaultSizeLimit},
		Queue:  Queue{Dir: "/var/lib/postcote/mtad/queue", Settings: queue.DefaultSettings()},
		Common: service.DefaultCommon("mtad"),
	}
}

func defaultTLS() tlsx.Config {
	c := tlsx.DefaultConfig()
	c.CertFile, c.KeyFile = "/etc/postcote/tls/cert.pem", "/etc/postcote/tls/key.pem"
	return c
}
