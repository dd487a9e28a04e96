package maildrop

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/message"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
)

// Config is the `pop3` section of imapd.yaml.
type Config struct {
	UIDLFormat     string   `yaml:"uidl_format" max:"200" doc:"What unique ids are made of: %u or %{uid}, %v or %{uidvalidity}, %f or %{filename}, %g or %{guid}, with Dovecot's modifiers (%08Xu, %Mf) or filters (%{uid | hex(8)}). Clients download everything again when it changes."`
	SaveUIDL       bool     `yaml:"save_uidl" doc:"Keep unique ids in the UID list for good once a client has asked for them, so that a change of uidl_format is for new messages only."`
	ReuseXUIDL     bool     `yaml:"reuse_xuidl" doc:"Take a message's unique id from its header field X-UIDL, as another server left it."`
	UIDLDuplicates string   `yaml:"uidl_duplicates" oneof:"allow|rename" doc:"rename: the second message of the same unique id gets -2 behind it."`
	NoFlagUpdates  bool     `yaml:"no_flag_updates" doc:"RETR does not mark a message as seen."`
	EnableLast     bool     `yaml:"enable_last" doc:"Answer LAST (RFC 1460); RSET then takes the mark of being seen from all messages."`
	LockSession    bool     `yaml:"lock_session" doc:"One POP3 session of a user at a time; a second one waits for ten seconds and is refused with [IN-USE]."`
	DeleteType     string   `yaml:"delete_type" oneof:"expunge|flag" doc:"expunge: QUIT removes messages. flag: it gives them deleted_flag, and IMAP goes on showing them."`
	DeletedFlag    string   `yaml:"deleted_flag" max:"64" example:"$POP3Deleted" doc:"Keyword of messages that POP3 does not show."`
	Workarounds    []string `yaml:"client_workarounds" max:"2" example:"[outlook-no-nuls, oe-ns-eoh]" doc:"outlook-no-nuls: send 0x80 for NUL, on which old Outlooks hang. oe-ns-eoh: end a header that nobody ended, for Outlook Express and Netscape."`
	FastSizes      bool     `yaml:"fast_size_lookups" doc:"Where the exact size is not known without reading the message, tell that of the file."`
	LogoutFormat   string   `yaml:"logout_format" max:"400" doc:"What the closing log line says, in Dovecot's variables: %t %p TOPs and their bytes, %r %b RETRs, %d %{deleted_bytes} deleted, %m %s messages and their bytes, %i %o bytes in and out, %u how the unique ids changed, %{session}."`
}

// Default is Dovecot's.
func Default() Config {
	return Config{
		UIDLFormat: pop3.DefaultUIDL, UIDLDuplicates: "allow", DeleteType: "expunge", LogoutFormat: pop3.DefaultLogout,
	}
}

// Validate reports what cannot work.
func (c Config) Validate(p *conf.Reporter) {
	if _, err := pop3.ParseUIDL(c.UIDLFormat); err != nil {
		p.At("uidl_format").Errorf("%v", err)
	}
	if _, err := pop3.ParseLogout(c.LogoutFormat); err != nil {
		p.At("logout_format").Errorf("%v", err)
	}
	if c.DeleteType == "flag" && c.DeletedFlag == "" {
		p.At("deleted_flag").Hint("write deleted_flag: $POP3Deleted").Errorf("delete_type: flag needs the name of a keyword")
	}
	if strings.ContainsAny(c.DeletedFlag, "\\(){%*\"] \r\n") {
		p.At("deleted_flag").Errorf("%q is not a keyword", c.DeletedFlag)
	}
	for i, w := range c.Workarounds {
		if w != "outlook-no-nuls" && w != "oe-ns-eoh" {
			p.At(fmt.Sprintf("client_workarounds[%d]", i)).Hint("known are outlook-no-nuls and oe-ns-eoh").Errorf("there is no workaround %q", w)
		}
	}
}

// Rules are a Config, understood.
type Rules struct {
	Config
	format *pop3.UIDLFormat
	logout *pop3.LogoutFormat
	texts  *sync.Pool // of *message.Memory: what messages are read into
}

// Rules understands a Config that is valid.
func (c Config) Rules() (r Rules, err error) {
	r.Config, r.texts = c, new(sync.Pool)
	if r.format, err = pop3.ParseUIDL(c.UIDLFormat); err != nil {
		return r, err
	}
	r.logout, err = pop3.ParseLogout(c.LogoutFormat)
	return r, err
}

func (r *Rules) memory() *message.Memory {
	if m, ok := r.texts.Get().(*message.Memory); ok {
		return m
	}
	return new(message.Memory)
}

// Apply sets what the engine must know of the rules.
func (r *Rules) Apply(o *pop3.Options) {
	o.NoFlagUpdates, o.EnableLast, o.TrackUIDLs = r.NoFlagUpdates, r.EnableLast, r.logout.UIDLs()
	o.NoNULs = slices.Contains(r.Workarounds, "outlook-no-nuls")
	o.EndHeader = slices.Contains(r.Workarounds, "oe-ns-eoh")
}

// Words are logout_format, filled in.
func (r *Rules) Words(st pop3.Stats) string { return r.logout.Text(st) }
