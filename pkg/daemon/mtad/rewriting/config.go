package rewriting

import "github.com/postcote/postcote/pkg/platform/conf"

// Config is the `rewrite` section. Keys have Postfix's names where Postfix has
// them.
type Config struct {
	Origin      string `yaml:"myorigin" example:"example.org" doc:"Domain that is added to addresses without one. Empty: hostname."`
	AppendAt    bool   `yaml:"append_at_myorigin" doc:"Add myorigin to addresses without a domain. Without it they are refused, as is mail of local programs to a bare user name."`
	Domain      string `yaml:"mydomain" example:"example.org" doc:"Domain for append_dot_mydomain. Empty: hostname without its first part."`
	AppendDot   bool   `yaml:"append_dot_mydomain" doc:"Add mydomain to domains without a dot."`
	SwapBang    bool   `yaml:"swap_bangpath" doc:"Read host!user as user@host."`
	PercentHack bool   `yaml:"allow_percent_hack" doc:"Read user%host without a domain as user@host."`

	HeaderClients []string `yaml:"local_header_rewrite_clients" example:"[127.0.0.1/32, authenticated]" doc:"Clients whose messages have the addresses in their header rewritten, and bare addresses completed: networks, trusted (trusted_networks), authenticated. The submit socket always counts, and what a filter says by XFORWARD SOURCE goes first."`
	RemoteDomain  string   `yaml:"remote_header_rewrite_domain" example:"domain.invalid" doc:"Rewrite the addresses in the header of messages of other clients too, give bare ones this domain, and add missing fields. Empty: their header stays as it is."`
	AddMissing    bool     `yaml:"always_add_missing_headers" doc:"Add From, Date and Message-ID, or Resent-From and so on, to mail of everybody, not only to submissions and where the header is rewritten."`
	Undisclosed   string   `yaml:"undisclosed_recipients_header" example:"To: undisclosed-recipients:;" doc:"Field that is added with them to a message without To and Cc. Empty: none."`
	Drop          []string `yaml:"message_drop_headers" doc:"Header fields that are removed from all mail."`
	Strip         string   `yaml:"message_strip_characters" example:"\\0" doc:"Bytes that are removed from all mail, one after the other; \\0 to \\377, \\a, \\b, \\f, \\t, \\v and \\\\ as in C. Signatures over them break. Empty: none."`
	Reject        string   `yaml:"message_reject_characters" example:"\\0" doc:"The same for bytes for which a message is refused."`

	Canonical        []string `yaml:"canonical_maps" example:"texthash:/etc/postcote/canonical" doc:"Tables that rewrite addresses of senders and recipients, in envelope and header."`
	CanonicalPlaces  []string `yaml:"canonical_classes" doc:"Where canonical_maps hold: envelope_sender, envelope_recipient, header_sender, header_recipient."`
	Sender           []string `yaml:"sender_canonical_maps" doc:"The same for senders only, asked first."`
	SenderPlaces     []string `yaml:"sender_canonical_classes" doc:"Where sender_canonical_maps hold."`
	Recipient        []string `yaml:"recipient_canonical_maps" doc:"The same for recipients only, asked first."`
	RecipientPlaces  []string `yaml:"recipient_canonical_classes" doc:"Where recipient_canonical_maps hold."`
	Masquerade       []string `yaml:"masquerade_domains" example:"example.org" doc:"Domains that stand for all names below them; !name exempts one. The first that fits counts."`
	MasqueradeExcept []string `yaml:"masquerade_exceptions" example:"root" doc:"User names that are not masqueraded."`
	MasqueradePlaces []string `yaml:"masquerade_classes" doc:"Where masquerade_domains hold."`

	VirtualAlias   []string `yaml:"virtual_alias_maps" example:"texthash:/etc/postcote/virtual" doc:"Tables that give recipients of any domain other addresses, one or several; results are looked up again."`
	ExpansionLimit int      `yaml:"virtual_alias_expansion_limit" min:"1" max:"100000" doc:"The most addresses that one recipient may become."`
	RecursionLimit int      `yaml:"virtual_alias_recursion_limit" min:"1" max:"1000" doc:"How often a result is looked up again."`
	Propagate      []string `yaml:"propagate_unmatched_extensions" doc:"Tables whose results get the detail (user+detail) that the key did not name: canonical, virtual, alias, forward, include, generic."`
	Relocated      []string `yaml:"relocated_maps" example:"texthash:/etc/postcote/relocated" doc:"Tables of addresses that have moved; mail is refused with the new address."`
	Generic        []string `yaml:"smtp_generic_maps" example:"texthash:/etc/postcote/generic" doc:"Tables that rewrite addresses of mail that leaves by SMTP, in envelope and header."`

	AlwaysBCC    string   `yaml:"always_bcc" example:"archive@example.org" doc:"Address that gets a copy of each message."`
	SenderBCC    []string `yaml:"sender_bcc_maps" doc:"Tables that give the mail of a sender such an address."`
	RecipientBCC []string `yaml:"recipient_bcc_maps" doc:"The same for a recipient."`

	Aliases         []string `yaml:"alias_maps" example:"aliases:/etc/aliases" doc:"Tables of names in domains.local: files in aliases(5) form (aliases:/path, or hash:/path and the like), or any other table of such values."`
	ExpandOwner     bool     `yaml:"expand_owner_alias" doc:"Mail to NAME has what owner-NAME stands for as its sender, and not owner-NAME itself."`
	AllowCommands   []string `yaml:"allow_mail_to_commands" doc:"Where |command counts: alias, include, forward."`
	AllowFiles      []string `yaml:"allow_mail_to_files" doc:"Where /file counts: alias, include, forward."`
	AliasTransport  string   `yaml:"alias_transport" example:"archive" doc:"The transport, of type pipe, to whose helper |command and /file are handed; its command is not used. Empty: such mail is returned."`
	ForwardSocket   string   `yaml:"forward_socket" path:"connect" example:"/run/mtad-forward/socket" doc:"Socket of the helper unit that reads the .forward files of users in domains.local, see docs/mtad/rewriting.md. Empty: there are none."`
	ForwardPrograms string   `yaml:"forward_programs" example:"/run/mtad-run-${user}/socket" doc:"Socket of the helper unit of a user, to which |command and /file of the user's .forward are handed; ${user} is the name. Empty: such mail is returned."`
	SenderLoginMaps []string `yaml:"sender_login_maps" example:"socketmap:unix:/run/postcote-authd/socketmap:senders" doc:"Tables of sender addresses (user@domain, @domain) with the logins that may use them; see sender_login of listeners."`

	SRS SRS `yaml:"srs" doc:"Senders of forwarded mail (Sender Rewriting Scheme)."`
}

// SRS is the `srs` section of it.
type SRS struct {
	Domain  string          `yaml:"domain" example:"srs.example.org" doc:"Domain of the rewritten senders, which must lead here. Empty: senders stay as they are."`
	KeyFile conf.SecretFile `yaml:"key_file" doc:"File with the key, at least 16 characters in a line. Of several lines the first signs, all are accepted. postsrsd's file will do."`
	MaxAge  int             `yaml:"max_age" min:"1" max:"1000" doc:"Days for which bounces find the way back."`
}

// Default is the section without a file.
func Default() Config {
	all := []string{"envelope_sender", "envelope_recipient", "header_sender", "header_recipient"}
	return Config{
		AppendAt:         true,
		HeaderClients:    []string{"127.0.0.1/32", "::1/128"},
		Drop:             []string{"bcc", "content-length", "resent-bcc", "return-path"},
		CanonicalPlaces:  all,
		SenderPlaces:     []string{"envelope_sender", "header_sender"},
		RecipientPlaces:  []string{"envelope_recipient", "header_recipient"},
		MasqueradePlaces: []string{"envelope_sender", "header_sender", "header_recipient"},
		ExpansionLimit:   1000,
		RecursionLimit:   1000,
		Propagate:        []string{"canonical", "virtual"},
		AllowCommands:    []string{"alias", "forward"},
		AllowFiles:       []string{"alias", "forward"},
		SRS:              SRS{MaxAge: 21},
	}
}
