package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/remote/tlspolicy"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

// MaxSessions is how many hosts are spoken to in one attempt unless Config
// says otherwise (Postfix: smtp_mx_session_limit).
const MaxSessions = 2

// Credentials are our login at a relay host.
type Credentials struct{ User, Password string }

// same reports whether both are the same login, or none.
func (c *Credentials) same(other *Credentials) bool {
	return c == other || c != nil && other != nil && *c == *other
}

// Config says how to deliver. Hostname and Resolver are required.
type Config struct {
	Hostname string   // our name in LHLO and EHLO, and of Unix sockets in the log
	Helo     string   // our name in EHLO; empty: Hostname
	Self     []string // names that mean this host in an MX list
	// Own reports whether an address at the port of exchangers is a listener of
	// ours: mail must not go there. nil: none is.
	Own func(ip netip.Addr) bool
	// Services are the ports whose hosts are found by SRV records, with the
	// names of the services (Postfix: use_srv_lookup). Where there are no such
	// records the domain's exchangers are asked with ServiceFallback only, and
	// where nobody knows with ServiceIgnore only.
	Services        map[uint16]string
	ServiceFallback bool
	ServiceIgnore   bool
	Resolver        Resolver
	// Dial connects; nil means a net.Dialer. The context has the time limit.
	Dial           func(ctx context.Context, network, address string) (net.Conn, error)
	ConnectTimeout time.Duration // 0: 30 s
	// Unreachable hears of each address that could not be connected to, though
	// another one may take the message: its relay and why. nil: nobody does.
	Unreachable  func(transport, relay, why string)
	Timeouts     client.Timeouts
	LMTPTimeouts client.Timeouts
	Port         uint16 // of mail exchangers; 0: 25
	Families     Families
	Sessions     int // hosts spoken to in one attempt; 0: MaxSessions
	// TLS is what is demanded of destinations that Policies (nil: none) does
	// not know; Levels says what levels mean, Roots (nil: the system's) whom to
	// trust. The zero level is to encrypt nothing.
	TLS      tlspolicy.Level
	Policies tlspolicy.Table
	Levels   tlspolicy.Defaults
	Roots    *x509.CertPool
	// Handshake is told what came of each TLS handshake; nil for nobody. It must
	// not wait.
	Handshake func(Handshake)
	// Fallback are hops that are tried when a destination is not found or
	// cannot be reached (Postfix: smtp_fallback_relay).
	Fallback []route.Hop
	// PlainAfter is how long a message must have waited before a host whose TLS
	// breaks gets it in the clear, at level may and without a login. 0: at once
	// (Postfix: minimal_backoff_time).
	PlainAfter time.Duration
	// KeepEightBit sends 8-bit text to hosts without 8BITMIME as it is, and
	// converts nothing (Postfix: disable_mime_output_conversion).
	KeepEightBit bool
	// LineLength is how many octets of a line SMTP sends before it is broken;
	// 0: 998, -1: all (Postfix: smtp_line_length_limit).
	LineLength int
	// Discard are EHLO keywords, in upper case, that are not used though a host
	// announces them (Postfix: smtp_discard_ehlo_keywords).
	Discard []string
	// DiscardAt has such keywords of some hosts, by address, apart by commas or
	// blanks, in place of Discard; nil for none (Postfix:
	// smtp_discard_ehlo_keyword_address_maps).
	DiscardAt tlspolicy.Table
	// Certificate is ours, for hosts that ask for one; nil for none.
	Certificate func() (*tls.Certificate, error)
	// MailAuth says AUTH=<> to hosts where we have logged in (Postfix:
	// smtp_send_dummy_mail_auth).
	MailAuth bool
	// HardGreeting returns the mail for a host that greets us with 5xx, which
	// otherwise counts as 4xx (Postfix: smtp_skip_5xx_greeting = no).
	HardGreeting bool
	// Mechanism reports whether a mechanism may be used to log in, with TLS or
	// without; nil allows all.
	Mechanism func(name string, tls bool) bool
	// HardLogin returns the mail for a host that refuses our login for good.
	// Otherwise that defers, as it may be our mistake (Postfix:
	// smtp_sasl_auth_soft_bounce).
	HardLogin bool
	Idle      time.Duration // how long a session waits for the next message; 0: 2 s, negative: not at all
	MaxAge    time.Duration // how long a session is used; 0: 300 s (Postfix: smtp_connection_reuse_time_limit)
	MaxUses   int           // messages that a session carries; 0: any number
	// Record makes what keeps the transcript of a session, and Odd gets it when
	// the host has called a command of ours unknown or wrong, once a session and
	// not for a notice; nil keeps none. Peer is NAME[IP]:PORT.
	Record func() client.Recorder
	Odd    func(peer string, r client.Recorder)

	Shuffle func(n int, swap func(i, j int)) // order of equal MX records; nil: random
	Random  func(n int) int                  // below n, for the choice among SRV records; nil: random
	Now     func() time.Time                 // nil: time.Now
}

// Handshake is what came of a TLS handshake with a host.
type Handshake struct {
	Hop   route.Hop
	Peer  string // "host[ip]:25"
	Err   error  // why it failed; nil, and then:
	State tls.ConnectionState
	// Trust finds Postfix's word for the certificate: Verified, Trusted, or
	// Untrusted.
	Trust func() string
}

// Message is what is delivered.
type Message struct {
	From       addr.Address
	Size       int64 // of the content, 0 when unknown
	EightBit   bool  // declared as 8BITMIME; for hosts that lack it the content is converted
	UTF8       bool  // needs SMTPUTF8
	Notice     bool  // one of our notifications: its parts in UTF-8 are converted for hosts without SMTPUTF8
	Return     smtp.DSNReturn
	EnvelopeID string
	Waited     time.Duration   // in the queue; see Config.PlainAfter
	Verify     bool            // nothing is sent: an outcome is what the host says of the recipient
	Forward    *client.Forward // from whom it came, for content filters; nil tells nobody
	// Login returns our credentials for one host of a hop, by the name of the
	// mail exchanger, or by its address where that is all there is; nil, or a
	// nil result, means none. They are sent over TLS only, or to this host. With
	// an error the message is not sent to that host.
	Login func(ctx context.Context, hop route.Hop, host string) (*Credentials, error)
	// Open gives the content from its start. It is called for each session
	// in which a recipient is accepted.
	Open func() (io.ReadCloser, error)
}

// Recipient is an address with its DSN parameters.
type Recipient = client.Recipient

// Client delivers messages. It is safe for concurrent use.
type Client struct {
	cfg      Config
	idle     *cache
	sessions tls.ClientSessionCache
	noChunks hostSet // hosts that announce CHUNKING and cannot do it
}

// tlsSessions is how many peers' session tickets are remembered.
const tlsSessions = 256

// New makes a client. Close it to end idle sessions.
func New(cfg Config) *Client {
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 30 * time.Second
	}
	if cfg.Dial == nil {
		cfg.Dial = new(net.Dialer).DialContext
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Sessions == 0 {
		cfg.Sessions = MaxSessions
	}
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 300 * time.Second
	}
	if cfg.Idle == 0 {
		cfg.Idle = 2 * time.Second
	}
	return &Client{cfg: cfg, idle: newCache(cfg.Idle), sessions: tls.NewLRUClientSessionCache(tlsSessions)}
}

// Close says goodbye on idle sessions and waits for that, 5 s at most for
// each. Sessions of running deliveries are not touched and not kept.
func (c *Client) Close() { c.idle.close() }

func (c *Client) shuffle(n int, swap func(i, j int)) {
	if c.cfg.Shuffle != nil {
		c.cfg.Shuffle(n, swap)
		return
	}
	rand.Shuffle(n, swap)
}
