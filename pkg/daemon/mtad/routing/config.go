package routing

import (
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Domains is the `domains` section.
type Domains struct {
	Mailbox []string `yaml:"mailbox" example:"example.org" doc:"Domains with mailboxes here (Postfix: virtual_mailbox_domains). .example.org stands for every name below example.org, in each of these lists."`
	Tables  []string `yaml:"tables" example:"socketmap:unix:/run/postcote-authd/socketmap:domains" doc:"Tables that name further domains with mailboxes here, asked in turn for each recipient's domain that is not listed: type:name as Postfix writes them (docs/mtad/tables.md), such as authd's socketmap. The value does not matter; a table that cannot be asked is a temporary failure."`
	Relay   []string `yaml:"relay" doc:"Domains whose mail is taken and passed on: to their MX behind us, or as transport_maps and routes say (Postfix: relay_domains)."`
	Local   []string `yaml:"local" example:"host.example.org" doc:"Domains of this host, whose names may be aliases (Postfix: mydestination)."`
	Alias   []string `yaml:"alias" example:"example.net" doc:"Domains without mailboxes: every address is in virtual_alias_maps or does not exist (Postfix: virtual_alias_domains)."`

	LocalTables []string `yaml:"local_tables" example:"texthash:/etc/postcote/local-domains" doc:"Tables that name further domains for local. The value of an entry does not matter."`
	AliasTables []string `yaml:"alias_tables" example:"texthash:/etc/postcote/virtual" doc:"The same for alias. Postfix takes its virtual_alias_maps for this; so can you."`
	RelayTables []string `yaml:"relay_tables" example:"texthash:/etc/postcote/relay-domains" doc:"The same for relay."`
}

// Config holds keys of the top level.
type Config struct {
	RelayHost     string            `yaml:"relayhost" reload:"true" example:"[smtp.example.net]:587" doc:"Host that takes all mail for other domains: [host]:port as it stands, host:port through its MX records. Several, with commas: the next when one cannot be reached. A port may be called submission. Empty: each domain's own MX."`
	FallbackRelay []string          `yaml:"fallback_relay" reload:"true" example:"[fallback.example.net]" doc:"Hosts that are tried when a destination is not found or cannot be reached (Postfix: smtp_fallback_relay)."`
	Routes        map[string]string `yaml:"routes" reload:"true" doc:"Exceptions: a domain, .domain (every name below) or * to smtp:[host]:port, smtp:host, smtp:, lmtp:unix:/path, lmtp:host:port, error:text, retry:text, discard:text (the text may begin with a code X.Y.Z; the first two refuse at RCPT, too), or NAME:nexthop with a name of transports. * does not speak for our own mailboxes, names and aliases."`
	TransportMaps []string          `yaml:"transport_maps" reload:"true" example:"texthash:/etc/postcote/transport" doc:"Tables with such exceptions, asked first, by user+detail@domain, user@domain, domain, .parent and *. An empty transport (:host) keeps the usual one, an empty next hop means the recipient's domain."`

	SenderRelayHosts    []string `yaml:"sender_dependent_relayhost_maps" reload:"true" example:"texthash:/etc/postcote/relayhosts" doc:"Tables that give the mail of a sender (user@domain, @domain, or <> for none) its own relayhost. DUNNO means the usual."`
	SenderTransportMaps []string `yaml:"sender_dependent_default_transport_maps" reload:"true" doc:"Tables that give the mail of a sender for other domains its own transport:nexthop."`
	MinUser             bool     `yaml:"allow_min_user" reload:"true" doc:"Take addresses whose local part begins with -. A program that is given one may read it as an option."`
	PasswordMaps        []string `yaml:"password_maps" reload:"true" example:"texthash:/etc/postcote/passwords" doc:"Tables with user:password for hosts that want a login, asked by sender (user@domain, @domain), by the name of the host connected to (of a mail exchanger, without a port), and by next hop as it is written ([host]:587) (Postfix: smtp_sasl_password_maps). Passwords are sent over TLS only, or to this host."`

	DefaultTransport string `yaml:"default_transport" reload:"true" doc:"Transport of mail for other domains; empty is smtp:, by relayhost or MX."`
	RelayTransport   string `yaml:"relay_transport" reload:"true" doc:"The same for domains.relay."`
	LocalTransport   string `yaml:"local_transport" reload:"true" doc:"The same for domains.local; empty is local:, which follows alias_maps and then hands over to deliver.lmtp."`
	VirtualTransport string `yaml:"virtual_transport" reload:"true" doc:"The same for domains with mailboxes; empty is deliver.lmtp."`

	LocalConfig `yaml:",inline"`

	Transports map[string]Transport `yaml:"transports" reload:"true" doc:"Transports of your own, by name, for use in routes, transport_maps and the keys above."`

	StatusFilter []string `yaml:"default_delivery_status_filter" reload:"true" example:"pcre:/etc/postcote/status" doc:"Tables that change the result of a delivery: the key is its status and text (5.7.1 host … said: …), the value the new status, and maybe text (4.7.1 try later). Success stays success."`

	LocalRecipientMaps []string `yaml:"local_recipient_maps" reload:"true" example:"unix:passwd.byname" doc:"Tables of the names that exist in domains.local, beside aliases and what exists_socket knows."`
	VirtualMailboxMaps []string `yaml:"virtual_mailbox_maps" reload:"true" example:"mysql:/etc/postfix/virtual-mailbox-maps.cf" doc:"Tables of the mailboxes that exist (user@domain, @domain), beside those that exists_socket knows. The value of an entry does not matter: where mail is kept is what deliver.lmtp knows."`
	RelayRecipientMaps []string `yaml:"relay_recipient_maps" reload:"true" example:"texthash:/etc/postcote/relay-recipients" doc:"Tables of the addresses that exist in domains.relay (user@domain, @domain). Empty: mail is taken for every address there, and what the host behind refuses has to be returned."`
}

// Kinds of a transport.
const (
	KindVirtual = "virtual"
	KindPipe    = "pipe"
)

// Transport is one entry of `transports`.
type Transport struct {
	Type    string `yaml:"type" oneof:"smtp|lmtp|pipe|local|virtual|discard|error|retry" doc:"What the transport does: smtp and lmtp as the transports of that name, pipe runs a program through a helper unit, virtual is deliver.lmtp, local follows aliases."`
	NextHop string `yaml:"next_hop" example:"[smtp.example.net]:587" doc:"Next hop where a route names none."`

	HeloName     string          `yaml:"helo_name" example:"out.example.org" doc:"smtp: the name in EHLO. Empty: hostname."`
	Source       []string        `yaml:"source" example:"192.0.2.25" doc:"smtp: own addresses to connect from, at most one of each family."`
	Prefer       string          `yaml:"address_preference" oneof:"|any|ipv4|ipv6" doc:"smtp: as remote.address_preference, which an empty value takes."`
	Protocols    string          `yaml:"inet_protocols" oneof:"|all|ipv4|ipv6" doc:"smtp: as remote.inet_protocols, which an empty value takes."`
	TLS          string          `yaml:"tls" oneof:"|none|may|encrypt|fingerprint|verify|secure" doc:"smtp: as remote.tls, which an empty value takes. remote.tls_policy_maps come first."`
	Credentials  conf.SecretFile `yaml:"credentials_file" doc:"smtp: file with user:password for the next hop, which comes before password_maps."`
	DiscardWords []string        `yaml:"discard_ehlo_keywords" doc:"smtp, lmtp: in place of remote.discard_ehlo_keywords."`
	Fallback     []string        `yaml:"fallback_relay" doc:"smtp: in place of fallback_relay."`
	StatusFilter []string        `yaml:"delivery_status_filter" doc:"In place of default_delivery_status_filter."`
	Forward      bool            `yaml:"send_xforward_command" doc:"smtp, lmtp: tell the next hop, a content filter that announces XFORWARD, from whom the message came."`

	Flags    string `yaml:"flags" example:"DO" doc:"smtp, lmtp: fields put before each message: D for Delivered-To, O for X-Original-To (each recipient then gets a message of its own), R for Return-Path. A pipe has them in the helper's own configuration."`
	Timeouts `yaml:",inline"`

	Socket    string        `yaml:"socket" path:"connect" example:"/run/mtad-run-vmail/socket" doc:"pipe: socket of the helper unit, see docs/mtad/routing.md."`
	Command   string        `yaml:"command" example:"spamfilter" doc:"pipe: the name of a command in the helper's own configuration."`
	Final     bool          `yaml:"final_delivery" doc:"pipe, smtp: what is behind it delivers for good (flag X); reports of success say delivered, and not relayed."`
	TimeLimit conf.Duration `yaml:"time_limit" min:"1s" max:"1h" doc:"pipe: how long the program may take."`

	queue.Limits `yaml:",inline"`
}
