package deliverd

import (
	"os"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Config is the file deliverd.yaml.
type Config struct {
	Hostname string      `yaml:"hostname" example:"mail.example.org" doc:"This host's full name, in the banner and in Received fields. Empty takes the system's."`
	Listen   conf.Listen `yaml:"listen" doc:"Where mail is taken by LMTP."`

	UserdbSocket string `yaml:"userdb_socket" path:"connect" doc:"authd's userdb socket (or a Dovecot's auth-userdb), which says where a user's mail is."`
	EventsSocket string `yaml:"events_socket" path:"connect" doc:"imapd's events socket: waiting clients hear of new mail at once. Empty: they hear when imapd looks."`

	Delimiter    string    `yaml:"recipient_delimiter" reload:"true" max:"8" doc:"Characters that separate a user name from its detail, as in user+detail; empty for none."`
	SaveToDetail bool      `yaml:"save_to_detail_mailbox" reload:"true" doc:"Deliver user+Folder into Folder when it exists."`
	MessageSize  conf.Size `yaml:"message_size_limit" doc:"The largest message that is taken; 0 leaves it to the sender."`
	TempDir      string    `yaml:"temp_dir" path:"dir" doc:"Where bodies above 64 KiB for several recipients wait until all are served."`

	Mail maildir.Config `yaml:",inline"`
	Sync string         `yaml:"sync" oneof:"auto|file|volume" reload:"true" doc:"How a message is made durable before it is acknowledged. file: its file and its folder, each by itself. volume: all of the file system, one sync for all messages that arrive meanwhile; it writes out what others have changed there too, and needs mail_root and Linux 5.17. auto: volume when several messages arrive at a time and the file system (ext4, XFS, f2fs) is mounted for mail alone."`

	Limits Limits `yaml:"limits" doc:"What is done at a time."`
	Quota  Quota  `yaml:"quota" doc:"How much mail a user may have."`

	service.Common `yaml:",inline"`
}

// Limits is the `limits` section.
type Limits struct {
	Connections     int           `yaml:"connections" min:"1" doc:"LMTP connections at a time."`
	UserConcurrency int           `yaml:"user_concurrency" min:"0" reload:"true" doc:"Deliveries at a time for one user, more get 451; 0 for no limit. Keep it above what the MTA sends to one destination at a time (20 in mtad and in Postfix), or bursts for one user are put off."`
	Recipients      int           `yaml:"recipients" min:"1" max:"100000" doc:"Recipients of one message."`
	Command         conf.Duration `yaml:"command_timeout" min:"1s" doc:"How long to wait for a command."`
	Lookup          conf.Duration `yaml:"lookup_timeout" min:"1s" doc:"How long to wait for the userdb."`
}

// Quota is the `quota` section.
type Quota struct {
	quota.Config `yaml:",inline"`
	Grace        string `yaml:"grace" reload:"true" example:"10%" doc:"How far above the limit one delivery may bring a user who is below it: hundredths of the limit, or an amount such as 20M."`
	FullTempfail bool   `yaml:"full_tempfail" reload:"true" doc:"Put mail for a full mailbox off (452 4.2.2) instead of returning it to the sender (552 5.2.2)."`
	CheckRcpt    bool   `yaml:"rcpt_check" reload:"true" doc:"Refuse a full mailbox at RCPT already."`
}

// Validate reports what is wrong between the keys.
func (q Quota) Validate(p *conf.Reporter) {
	q.Config.Validate(p)
	if _, err := quota.ParseGrace(q.Grace); err != nil {
		p.At("grace").Errorf("%v", err)
	}
}

// Default is the configuration without a file.
func Default() Config {
	return Config{
		Listen:       conf.Listen{Address: "unix:/run/postcote-deliverd/lmtp", Mode: 0o660},
		UserdbSocket: "/run/postcote-authd/auth-userdb",
		EventsSocket: "/run/postcote-imapd/events",
		Delimiter:    "+",
		TempDir:      os.TempDir(),
		Mail:         maildir.DefaultConfig(),
		Sync:         syncAuto,
		Limits: Limits{
			Connections: 1000, UserConcurrency: 50, Recipients: 1000,
			Command: conf.Duration(5 * time.Minute), Lookup: conf.Duration(30 * time.Second),
		},
		Quota:  Quota{Grace: "10%"},
		Common: service.DefaultCommon("deliverd"),
	}
}

// Validate reports what is wrong between the keys.
func (c Config) Validate(p *conf.Reporter) {
	for _, s := range []struct{ key, path string }{{"userdb_socket", c.UserdbSocket}, {"temp_dir", c.TempDir}} {
		if !strings.HasPrefix(s.path, "/") && !strings.HasPrefix(s.path, "inet:") {
			p.At(s.key).Hint("write an absolute path").Errorf("%q is not usable", s.path)
		}
	}
	if c.Sync == syncVolume && c.Mail.Root == "" {
		p.At("sync").Hint("name the folder that all mail lies below").Errorf("volume needs mail_root")
	}
	if c.EventsSocket != "" && !strings.HasPrefix(c.EventsSocket, "/") {
		p.At("events_socket").Hint("write the absolute path of a socket").Errorf("%q is not a socket", c.EventsSocket)
	}
}

// hostname is Hostname or the system's.
func (c Config) hostname() string {
	if c.Hostname != "" {
		return c.Hostname
	}
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}
