package session

import (
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/imapd/folders"
	"github.com/postcote/postcote/pkg/daemon/imapd/imapconf"
	"github.com/postcote/postcote/pkg/daemon/imapd/maildrop"
	"github.com/postcote/postcote/pkg/daemon/imapd/namespace"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Config is the file imapd.yaml with role: session.
type Config struct {
	Role string `yaml:"role" oneof:"session" doc:"session serves mail; login faces the network (imapd-login.yaml)."`

	Sessions conf.Listen `yaml:"sessions" doc:"Socket (seqpacket) on which the login role hands connections over."`
	Events   conf.Listen `yaml:"events" doc:"Socket (seqpacket) on which deliverd tells of new mail."`

	AuthSocket string        `yaml:"auth_socket" path:"connect" doc:"authd's master socket (or a Dovecot's auth-master), where a login is redeemed."`
	AuthWait   conf.Duration `yaml:"auth_timeout" min:"1s" max:"30s" doc:"How long to wait for authd."`

	IndexDir string         `yaml:"index_dir" path:"dir" doc:"Folder of our indexes. Never inside a Maildir."`
	Mail     maildir.Config `yaml:",inline"`

	StoreMode string `yaml:"store_mode" oneof:"exclusive|shared" doc:"exclusive: only imapd and deliverd write the mail. shared: Dovecot, mutt or another program writes too; changes are slower and CONDSTORE is not offered."`

	SpecialFolders string           `yaml:"special_folders" oneof:"no|create|subscribe" doc:"Whether Drafts, Sent, Junk, Trash and Archive are made, and subscribed to, at the first login. Entries of folders come before it."`
	Folders        []folders.Folder `yaml:"folders" max:"200" example:"[{name: Trash, special_use: Trash, auto: subscribe, autoexpunge: 30d}]" doc:"Folders that every user has, and what happens in them. One that has the name or the special use of a special folder takes its place."`

	POP3 maildrop.Config `yaml:"pop3" doc:"POP3. The keys are Dovecot's without the pop3_ in front."`

	Quota quota.Config `yaml:"quota" doc:"How much mail a user may have."`

	MessageSize conf.Size        `yaml:"message_size_limit" min:"64KiB" max:"2GiB" doc:"The largest message that a client may append."`
	IMAP        imapconf.Session `yaml:",inline"`

	Limits Limits `yaml:"limits" doc:"What clients may do."`

	service.Common `yaml:",inline"`
}

// Limits is the `limits` section.
type Limits struct {
	Sessions     int           `yaml:"sessions" min:"1" doc:"Sessions at a time."`
	PerUser      int           `yaml:"per_user_and_address" min:"0" doc:"Sessions of one user from one address at a time, for each protocol; 0: any number."`
	BadCommands  int           `yaml:"bad_commands" min:"1" doc:"Bad commands that end a session."`
	LineLength   conf.Size     `yaml:"line_length" min:"8KiB" max:"16MiB" doc:"Length of an IMAP command without its literals."`
	IMAPInactive conf.Duration `yaml:"imap_inactive" min:"1m" doc:"An IMAP session without a command for so long ends; IDLE does not count."`
	POP3Inactive conf.Duration `yaml:"pop3_inactive" min:"1m" doc:"The same for POP3."`
	Keepalive    conf.Duration `yaml:"idle_notify_interval" min:"10s" doc:"How often an idle IMAP client hears that we are still here."`
	Stall        conf.Duration `yaml:"stall" min:"1s" doc:"How long a client may take none of our output."`
	Linger       conf.Duration `yaml:"account_linger" max:"1h" doc:"How long a user's mail stays open after the last session."`
}

// Default is the configuration without a file.
func Default() Config {
	return Config{
		Role:           "session",
		IMAP:           imapconf.DefaultSession(),
		Sessions:       conf.Listen{Address: "unix:/run/postcote-imapd/session", Mode: 0o660},
		Events:         conf.Listen{Address: "unix:/run/postcote-imapd/events", Mode: 0o660},
		AuthSocket:     "/run/postcote-authd/auth-master",
		AuthWait:       conf.Duration(10 * time.Second),
		IndexDir:       "/var/lib/postcote/imapd/index",
		Mail:           maildir.DefaultConfig(),
		StoreMode:      "exclusive",
		SpecialFolders: "subscribe",
		POP3:           maildrop.Default(),
		MessageSize:    50 << 20,
		Limits: Limits{
			Sessions: 20000, PerUser: 10, BadCommands: 20, LineLength: 64 << 10,
			IMAPInactive: conf.Duration(30 * time.Minute), POP3Inactive: conf.Duration(10 * time.Minute),
			Keepalive: conf.Duration(2 * time.Minute), Stall: conf.Duration(5 * time.Minute),
			Linger: conf.Duration(30 * time.Second),
		},
		Common: service.DefaultCommon("imapd"),
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	if !strings.HasPrefix(c.AuthSocket, "/") && !strings.HasPrefix(c.AuthSocket, "inet:") {
		p.At("auth_socket").Hint("write the absolute path of a socket").Errorf("%q is not a socket", c.AuthSocket)
	}
	if !strings.HasPrefix(c.IndexDir, "/") {
		p.At("index_dir").Hint("write an absolute path").Errorf("%q is not a folder", c.IndexDir)
	}
	if !namespace.Valid(c.IMAP.Namespace) {
		p.At("namespace_prefix").Hint(`write one name, such as "INBOX."`).Errorf("%q cannot begin the names of folders", c.IMAP.Namespace)
	}
	for key, l := range map[string]conf.Listen{"sessions": c.Sessions, "events": c.Events} {
		if l.TCP() != "" {
			p.At(key).Hint(`write "unix:/path" or "systemd:NAME"`).Errorf("this socket must be a unix socket")
		}
	}
}

func (c Config) mode() mailbox.Mode {
	if c.StoreMode == "shared" {
		return mailbox.Shared
	}
	return mailbox.Exclusive
}
