package mtad

import (
	"cmp"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/postfixcmd"
	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// postfixVersion is the version of Postfix whose parameters and commands these
// are. Callers compare it to find out what they may ask for.
const postfixVersion = "3.7.11"

// parameter is one of Postfix's parameters and the key of ours that has its
// meaning; "" where there is no key.
type parameter struct {
	name, key string
	value     func(c *Config) string
}

// parameters is what the configuration says in the words of main.cf, with
// Postfix's names; postconf prints it.
func (c Config) parameters(file string) []postfixcmd.Parameter {
	usual := Default()
	var out []postfixcmd.Parameter
	for _, p := range append(mainCF(), c.ownLimits()...) {
		out = append(out, postfixcmd.Parameter{Name: p.name, Key: p.key, Value: p.value(&c), Default: p.value(&usual)})
	}
	out = append(out, postfixcmd.Parameter{Name: "config_directory", Value: filepath.Dir(file), Default: "/etc/postcote"})
	slices.SortFunc(out, func(a, b postfixcmd.Parameter) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// mainCF is the whole table.
func mainCF() []parameter {
	return slices.Concat(hostParameters(), routeParameters(), rewriteParameters(), smtpdParameters(), smtpParameters(),
		timeoutParameters("smtp", "remote", func(c *Config) routing.Timeouts { return c.Remote.Timeouts }),
		timeoutParameters("lmtp", "deliver", func(c *Config) routing.Timeouts { return c.Deliver.Timeouts }),
		queueParameters(), usualLimits())
}

func hostParameters() []parameter {
	fixed := func(s string) func(*Config) string { return func(*Config) string { return s } }
	return []parameter{
		{"mail_version", "", fixed(postfixVersion)},
		{"mail_name", "", fixed("Postcote")},
		{"compatibility_level", "", fixed("3.6")},
		{"command_directory", "", fixed("/usr/lib/postcote/bin")},
		{"sendmail_path", "", fixed("/usr/sbin/sendmail")},
		{"mailq_path", "", fixed("/usr/bin/mailq")},
		{"newaliases_path", "", fixed("/usr/bin/newaliases")},
		{"mail_owner", "", fixed("mtad")},
		{"queue_directory", "queue.dir", func(c *Config) string { return c.Queue.Dir }},
		{"myhostname", "hostname", func(c *Config) string { return c.hostname() }},
		{"mydomain", "rewrite.mydomain", (*Config).domain},
		{"myorigin", "rewrite.myorigin", func(c *Config) string { return c.origin() }},
		{"mynetworks", "trusted_networks", func(c *Config) string { return networks(c.Trusted) }},
		{"inet_interfaces", "listeners", (*Config).interfaces},
		{"recipient_delimiter", "recipient_delimiter", func(c *Config) string { return c.Delimiter }},
		{"authorized_submit_users", "submit.authorized_submit_users", func(c *Config) string { return list(c.Submit.Users) }},
		{"authorized_mailq_users", "status.authorized_mailq_users", func(c *Config) string { return list(c.Status.Mailq) }},
		{"authorized_flush_users", "status.authorized_flush_users", func(c *Config) string { return list(c.Status.Flush) }},
		{"enable_long_queue_ids", "", fixed("yes")},
	}
}

func routeParameters() []parameter {
	return []parameter{
		{"mydestination", "domains.local", func(c *Config) string { return list(c.Domains.Local, c.Domains.LocalTables) }},
		{"virtual_alias_domains", "domains.alias", func(c *Config) string { return list(c.Domains.Alias, c.Domains.AliasTables) }},
		{"virtual_mailbox_domains", "domains.mailbox", func(c *Config) string { return list(c.Domains.Mailbox, c.Domains.Tables) }},
		{"relay_domains", "domains.relay", func(c *Config) string { return list(c.Domains.Relay, c.Domains.RelayTables) }},
		{"local_recipient_maps", "local_recipient_maps", func(c *Config) string { return list(c.LocalRecipientMaps) }},
		{"virtual_mailbox_maps", "virtual_mailbox_maps", func(c *Config) string { return list(c.VirtualMailboxMaps) }},
		{"relay_recipient_maps", "relay_recipient_maps", func(c *Config) string { return list(c.RelayRecipientMaps) }},
		{"relayhost", "relayhost", func(c *Config) string { return c.RelayHost }},
		{"smtp_fallback_relay", "fallback_relay", func(c *Config) string { return list(c.FallbackRelay) }},
		{"transport_maps", "transport_maps", func(c *Config) string { return list(c.TransportMaps) }},
		{"allow_min_user", "allow_min_user", func(c *Config) string { return yes(c.MinUser) }},
		{"sender_dependent_relayhost_maps", "sender_dependent_relayhost_maps", func(c *Config) string { return list(c.SenderRelayHosts) }},
		{"sender_dependent_default_transport_maps", "sender_dependent_default_transport_maps", func(c *Config) string { return list(c.SenderTransportMaps) }},
		{"default_transport", "default_transport", func(c *Config) string { return cmp.Or(c.DefaultTransport, "smtp") }},
		{"relay_transport", "relay_transport", func(c *Config) string { return cmp.Or(c.RelayTransport, "relay") }},
		{"local_transport", "local_transport", func(c *Config) string { return cmp.Or(c.LocalTransport, "local:"+c.hostname()) }},
		{"virtual_transport", "virtual_transport", func(c *Config) string { return cmp.Or(c.VirtualTransport, "lmtp:"+c.Deliver.LMTP) }},
		{"mailbox_transport", "mailbox_transport", func(c *Config) string { return cmp.Or(c.MailboxTransport, "lmtp:"+c.Deliver.LMTP) }},
		{"mailbox_transport_maps", "mailbox_transport_maps", func(c *Config) string { return list(c.MailboxMaps) }},
		{"fallback_transport", "fallback_transport", func(c *Config) string { return c.Fallback }},
		{"fallback_transport_maps", "fallback_transport_maps", func(c *Config) string { return list(c.FallbackMaps) }},
		{"luser_relay", "luser_relay", func(c *Config) string { return c.LuserRelay }},
		{"default_delivery_status_filter", "default_delivery_status_filter", func(c *Config) string { return list(c.StatusFilter) }},
		{"double_bounce_sender", "double_bounce_sender", func(c *Config) string { return c.DoubleBounce }},
		{"address_verify_sender", "address_verify.sender", func(c *Config) string { return cmp.Or(c.Verify.Sender, "$double_bounce_sender") }},
		{"address_verify_sender_ttl", "address_verify.sender_ttl", func(c *Config) string { return span(c.Verify.SenderTTL) }},
		{"address_verify_relayhost", "address_verify.relayhost", probes(func(r routing.Config) string { return r.RelayHost })},
		{"address_verify_transport_maps", "address_verify.transport_maps", probes(func(r routing.Config) string { return list(r.TransportMaps) })},
		{"address_verify_sender_dependent_relayhost_maps", "address_verify.sender_dependent_relayhost_maps", probes(func(r routing.Config) string { return list(r.SenderRelayHosts) })},
		{"address_verify_sender_dependent_default_transport_maps", "address_verify.sender_dependent_default_transport_maps", probes(func(r routing.Config) string { return list(r.SenderTransportMaps) })},
		{"address_verify_default_transport", "address_verify.default_transport", probes(func(r routing.Config) string { return cmp.Or(r.DefaultTransport, "smtp") })},
		{"address_verify_relay_transport", "address_verify.relay_transport", probes(func(r routing.Config) string { return cmp.Or(r.RelayTransport, "smtp") })},
		{"address_verify_local_transport", "address_verify.local_transport", probes(func(r routing.Config) string { return cmp.Or(r.LocalTransport, "local") })},
		{"address_verify_virtual_transport", "address_verify.virtual_transport", func(c *Config) string {
			return cmp.Or(c.Verify.Apply(c.Config).VirtualTransport, "lmtp:"+c.Deliver.LMTP)
		}},
		{"address_verify_positive_expire_time", "address_verify.positive_expire_time", func(c *Config) string { return span(c.Verify.PositiveExpire) }},
		{"address_verify_positive_refresh_time", "address_verify.positive_refresh_time", func(c *Config) string { return span(c.Verify.PositiveRefresh) }},
		{"address_verify_negative_expire_time", "address_verify.negative_expire_time", func(c *Config) string { return span(c.Verify.NegativeExpire) }},
		{"address_verify_negative_refresh_time", "address_verify.negative_refresh_time", func(c *Config) string { return span(c.Verify.NegativeRefresh) }},
		{"address_verify_negative_cache", "address_verify.negative_cache", func(c *Config) string { return yes(c.Verify.Negative) }},
		{"address_verify_map", "address_verify.map", func(c *Config) string { return c.Verify.Map }},
	}
}

// probes is a value of the ways of probes.
func probes(of func(routing.Config) string) func(*Config) string {
	return func(c *Config) string { return of(c.Verify.Apply(c.Config)) }
}

func rewriteParameters() []parameter {
	return []parameter{
		{"remote_header_rewrite_domain", "rewrite.remote_header_rewrite_domain", func(c *Config) string { return c.Rewrite.RemoteDomain }},
		{"append_at_myorigin", "rewrite.append_at_myorigin", func(c *Config) string { return yes(c.Rewrite.AppendAt) }},
		{"resolve_dequoted_address", "", func(*Config) string { return "no" }},
		{"resolve_null_domain", "", func(*Config) string { return "no" }},
		{"resolve_numeric_domain", "", func(*Config) string { return "no" }},
		{"empty_address_default_transport_maps_lookup_key", "", func(*Config) string { return "<>" }},
		{"empty_address_relayhost_maps_lookup_key", "", func(*Config) string { return "<>" }},
		{"owner_request_special", "", func(*Config) string { return "yes" }},
		{"header_address_token_limit", "", func(*Config) string { return "10240" }},
		{"virtual_alias_address_length_limit", "", func(*Config) string { return "1000" }},
		{"append_dot_mydomain", "rewrite.append_dot_mydomain", func(c *Config) string { return yes(c.Rewrite.AppendDot) }},
		{"swap_bangpath", "rewrite.swap_bangpath", func(c *Config) string { return yes(c.Rewrite.SwapBang) }},
		{"allow_percent_hack", "rewrite.allow_percent_hack", func(c *Config) string { return yes(c.Rewrite.PercentHack) }},
		{"local_header_rewrite_clients", "rewrite.local_header_rewrite_clients", func(c *Config) string { return list(c.Rewrite.HeaderClients) }},
		{"always_add_missing_headers", "rewrite.always_add_missing_headers", func(c *Config) string { return yes(c.Rewrite.AddMissing) }},
		{"undisclosed_recipients_header", "rewrite.undisclosed_recipients_header", func(c *Config) string { return c.Rewrite.Undisclosed }},
		{"message_strip_characters", "rewrite.message_strip_characters", func(c *Config) string { return c.Rewrite.Strip }},
		{"message_reject_characters", "rewrite.message_reject_characters", func(c *Config) string { return c.Rewrite.Reject }},
		{"message_drop_headers", "rewrite.message_drop_headers", func(c *Config) string { return list(c.Rewrite.Drop) }},
		{"canonical_maps", "rewrite.canonical_maps", func(c *Config) string { return list(c.Rewrite.Canonical) }},
		{"canonical_classes", "rewrite.canonical_classes", func(c *Config) string { return list(c.Rewrite.CanonicalPlaces) }},
		{"sender_canonical_maps", "rewrite.sender_canonical_maps", func(c *Config) string { return list(c.Rewrite.Sender) }},
		{"sender_canonical_classes", "rewrite.sender_canonical_classes", func(c *Config) string { return list(c.Rewrite.SenderPlaces) }},
		{"recipient_canonical_maps", "rewrite.recipient_canonical_maps", func(c *Config) string { return list(c.Rewrite.Recipient) }},
		{"recipient_canonical_classes", "rewrite.recipient_canonical_classes", func(c *Config) string { return list(c.Rewrite.RecipientPlaces) }},
		{"masquerade_domains", "rewrite.masquerade_domains", func(c *Config) string { return list(c.Rewrite.Masquerade) }},
		{"masquerade_exceptions", "rewrite.masquerade_exceptions", func(c *Config) string { return list(c.Rewrite.MasqueradeExcept) }},
		{"masquerade_classes", "rewrite.masquerade_classes", func(c *Config) string { return list(c.Rewrite.MasqueradePlaces) }},
		{"virtual_alias_maps", "rewrite.virtual_alias_maps", func(c *Config) string { return list(c.Rewrite.VirtualAlias) }},
		{"virtual_alias_expansion_limit", "rewrite.virtual_alias_expansion_limit", func(c *Config) string { return strconv.Itoa(c.Rewrite.ExpansionLimit) }},
		{"virtual_alias_recursion_limit", "rewrite.virtual_alias_recursion_limit", func(c *Config) string { return strconv.Itoa(c.Rewrite.RecursionLimit) }},
		{"propagate_unmatched_extensions", "rewrite.propagate_unmatched_extensions", func(c *Config) string { return list(c.Rewrite.Propagate) }},
		{"relocated_maps", "rewrite.relocated_maps", func(c *Config) string { return list(c.Rewrite.Relocated) }},
		{"smtp_generic_maps", "rewrite.smtp_generic_maps", func(c *Config) string { return list(c.Rewrite.Generic) }},
		{"always_bcc", "rewrite.always_bcc", func(c *Config) string { return c.Rewrite.AlwaysBCC }},
		{"sender_bcc_maps", "rewrite.sender_bcc_maps", func(c *Config) string { return list(c.Rewrite.SenderBCC) }},
		{"recipient_bcc_maps", "rewrite.recipient_bcc_maps", func(c *Config) string { return list(c.Rewrite.RecipientBCC) }},
		{"alias_maps", "rewrite.alias_maps", func(c *Config) string { return list(c.Rewrite.Aliases) }},
		{"alias_database", "rewrite.alias_maps", func(c *Config) string { return list(aliasFiles(c.Rewrite.Aliases)) }},
		{"expand_owner_alias", "rewrite.expand_owner_alias", func(c *Config) string { return yes(c.Rewrite.ExpandOwner) }},
		{"allow_mail_to_commands", "rewrite.allow_mail_to_commands", func(c *Config) string { return list(c.Rewrite.AllowCommands) }},
		{"allow_mail_to_files", "rewrite.allow_mail_to_files", func(c *Config) string { return list(c.Rewrite.AllowFiles) }},
	}
}

func smtpdParameters() []parameter {
	return []parameter{
		{"message_size_limit", "message_size_limit", func(c *Config) string { return strconv.FormatInt(c.MessageSize.Int64(), 10) }},
		{"header_size_limit", "limits.header_size", func(c *Config) string { return strconv.FormatInt(c.Limits.Header.Int64(), 10) }},
		{"line_length_limit", "limits.line_length", func(c *Config) string { return strconv.Itoa(c.Limits.Line) }},
		{"smtputf8_enable", "smtputf8_enable", func(c *Config) string { return yes(c.UTF8) }},
		{"strict_smtputf8", "strict_smtputf8", func(c *Config) string { return yes(c.StrictUTF8) }},
		{"smtputf8_autodetect_classes", "smtputf8_autodetect_classes", func(c *Config) string { return list(c.DetectUTF8) }},
		{"smtpd_peername_lookup", "client_names", func(c *Config) string { return yes(c.ClientNames) }},
		{"smtpd_tls_loglevel", "smtpd.tls_loglevel", func(c *Config) string { return strconv.Itoa(c.Smtpd.TLSLog) }},
		{"smtpd_tls_cert_file", "tls.cert_file", func(c *Config) string { return c.TLS.CertFile }},
		{"smtpd_tls_key_file", "tls.key_file", func(c *Config) string { return c.TLS.KeyFile }},
		{"smtpd_tls_protocols", "tls.min_version", func(c *Config) string { return ">=TLSv" + c.TLS.MinVersion }},
		{"smtpd_tls_mandatory_protocols", "tls.min_version", func(c *Config) string { return ">=TLSv" + c.TLS.MinVersion }},
		{"smtpd_tls_ask_ccert", "listeners.client_cert", func(c *Config) string { return yes(c.certs("ask")) }},
		{"smtpd_tls_req_ccert", "listeners.client_cert", func(c *Config) string { return yes(c.certs(CertRequired)) }},
		{"relay_clientcerts", "smtpd.relay_clientcerts", func(c *Config) string { return list(c.Smtpd.ClientCerts) }},
		{"smtpd_tls_fingerprint_digest", "smtpd.tls_fingerprint_digest", func(c *Config) string { return c.Smtpd.Digest }},
		{"smtpd_tls_CAfile", "tls.client_ca_file", func(c *Config) string { return authorities(c.TLS.ClientCAFile, false) }},
		{"smtpd_tls_CApath", "tls.client_ca_file", func(c *Config) string { return authorities(c.TLS.ClientCAFile, true) }},
		{"smtpd_tls_security_level", "listeners.tls", (*Config).serverTLS},
		{"smtpd_tls_auth_only", "listeners.auth", func(c *Config) string { return yes(!c.logins(AuthClear)) }},
		{"smtpd_sasl_auth_enable", "listeners.auth", func(c *Config) string { return yes(c.logins(AuthTLS) || c.logins(AuthClear)) }},
		{"smtpd_sasl_type", "", func(*Config) string { return "dovecot" }},
		{"smtpd_sasl_path", "auth_socket", func(c *Config) string { return c.AuthSocket }},
		{"smtpd_sasl_mechanism_filter", "smtpd.sasl_mechanism_filter", func(c *Config) string { return list(c.Smtpd.SASLFilter) }},
		{"smtpd_sasl_security_options", "smtpd.sasl_security_options", func(c *Config) string { return list(c.Smtpd.SASLOptions) }},
		{"smtpd_sasl_tls_security_options", "smtpd.sasl_tls_security_options", func(c *Config) string { return list(c.Smtpd.SASLTLSOptions) }},
		{"smtpd_sasl_service", "smtpd.sasl_service", func(c *Config) string { return c.Smtpd.SASLService }},
		{"smtpd_sasl_response_limit", "smtpd.sasl_response_limit", func(c *Config) string { return strconv.Itoa(c.Smtpd.SASLResponse) }},
		{"smtpd_sasl_exceptions_networks", "smtpd.sasl_exceptions_networks", func(c *Config) string { return networks(c.Smtpd.SASLExceptions) }},
		{"smtpd_sasl_authenticated_header", "smtpd.sasl_authenticated_header", func(c *Config) string { return yes(c.Smtpd.SASLHeader) }},
		{"broken_sasl_auth_clients", "smtpd.broken_sasl_auth_clients", func(c *Config) string { return yes(c.Smtpd.OldAuth) }},
		{"smtpd_tls_received_header", "smtpd.tls_received_header", func(c *Config) string { return yes(c.Smtpd.TLSHeader) }},
		{"smtpd_hide_client_session", "listeners.hide_client_session", func(c *Config) string {
			return yes(slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Role == RoleMX && l.HideClient }))
		}},
		{"smtpd_reject_footer", "smtpd.reject_footer", func(c *Config) string { return c.Smtpd.Footer }},
		{"smtpd_reject_footer_maps", "smtpd.reject_footer_maps", func(c *Config) string { return list(c.Smtpd.FooterMaps) }},
		{"smtpd_sender_login_maps", "rewrite.sender_login_maps", func(c *Config) string { return list(c.Rewrite.SenderLoginMaps) }},
		{"smtpd_authorized_xclient_hosts", "smtpd.authorized_xclient_hosts", func(c *Config) string { return networks(c.Smtpd.XClientHosts) }},
		{"smtpd_authorized_xforward_hosts", "smtpd.authorized_xforward_hosts", func(c *Config) string { return networks(c.Smtpd.XForwardHosts) }},
		{"smtpd_banner", "smtpd.banner", func(c *Config) string { return strings.TrimSpace(c.hostname() + " " + c.Smtpd.Banner) }},
		{"smtpd_client_port_logging", "smtpd.client_port_logging", func(c *Config) string { return yes(c.Smtpd.LogPorts) }},
		{"smtpd_per_request_deadline", "", func(*Config) string { return "yes" }},
		{"smtpd_helo_required", "", func(*Config) string { return "yes" }},
		{"smtpd_upstream_proxy_protocol", "listeners.haproxy", func(c *Config) string {
			if slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Role == RoleMX && l.HAProxy }) {
				return "haproxy"
			}
			return ""
		}},
		{"smtpd_upstream_proxy_timeout", "smtpd.haproxy_timeout", func(c *Config) string { return span(c.Smtpd.HAProxyTimeout) }},
		{"smtpd_discard_ehlo_keywords", "smtpd.discard_ehlo_keywords", func(c *Config) string { return list(c.Smtpd.DiscardWords) }},
		{"allow_untrusted_routing", "smtpd.allow_untrusted_routing", func(c *Config) string { return yes(c.Smtpd.Routing) }},
		{"smtpd_forbid_bare_newline", "smtpd.forbid_bare_newline", func(c *Config) string { return c.Smtpd.BareLF }},
		{"smtpd_forbid_bare_newline_exclusions", "smtpd.forbid_bare_newline_exclusions", func(c *Config) string { return networks(c.Smtpd.BareLFExempt) }},
		{"smtpd_forbid_bare_newline_reject_code", "smtpd.forbid_bare_newline_reject_code", func(c *Config) string { return strconv.Itoa(c.Smtpd.BareLFCode) }},
		{"smtpd_reject_unlisted_recipient", "smtpd.reject_unlisted_recipient", func(c *Config) string { return yes(c.Smtpd.UnlistedRcpts) }},
		{"smtpd_reject_unlisted_sender", "smtpd.reject_unlisted_sender", func(c *Config) string { return yes(c.Smtpd.UnlistedSenders) }},
		{"unknown_local_recipient_reject_code", "smtpd.unknown_local_recipient_reject_code", func(c *Config) string { return strconv.Itoa(c.Smtpd.UnknownLocal) }},
		{"unknown_relay_recipient_reject_code", "smtpd.unknown_relay_recipient_reject_code", func(c *Config) string { return strconv.Itoa(c.Smtpd.UnknownRelay) }},
		{"unknown_virtual_alias_reject_code", "smtpd.unknown_virtual_alias_reject_code", func(c *Config) string { return strconv.Itoa(c.Smtpd.UnknownAlias) }},
		{"unknown_virtual_mailbox_reject_code", "smtpd.unknown_virtual_mailbox_reject_code", func(c *Config) string { return strconv.Itoa(c.Smtpd.UnknownMailbox) }},
		{"smtpd_forbid_unauth_pipelining", "smtpd.forbid_unauth_pipelining", func(c *Config) string { return yes(c.Smtpd.NoPipelining) }},
		{"smtpd_forbidden_commands", "smtpd.forbidden_commands", func(c *Config) string { return list(c.Smtpd.Forbidden) }},
		{"disable_vrfy_command", "smtpd.disable_vrfy_command", func(c *Config) string { return yes(c.Smtpd.NoVRFY) }},
		{"fast_flush_domains", "smtpd.fast_flush_domains", func(c *Config) string { return list(c.Smtpd.FastFlush) }},
		{"smtpd_client_connection_count_limit", "limits.connections_per_peer", func(c *Config) string { return strconv.Itoa(c.Limits.ConnectionsPerPeer) }},
		{"smtpd_client_connection_rate_limit", "limits.connection_rate", func(c *Config) string { return strconv.Itoa(c.Limits.ConnectionRate) }},
		{"smtpd_client_message_rate_limit", "limits.message_rate", func(c *Config) string { return strconv.Itoa(c.Limits.MessageRate) }},
		{"smtpd_client_recipient_rate_limit", "limits.recipient_rate", func(c *Config) string { return strconv.Itoa(c.Limits.RecipientRate) }},
		{"smtpd_client_new_tls_session_rate_limit", "limits.new_tls_session_rate", func(c *Config) string { return strconv.Itoa(c.Limits.TLSRate) }},
		{"smtpd_client_auth_rate_limit", "limits.auth_rate", func(c *Config) string { return strconv.Itoa(c.Limits.AuthRate) }},
		{"smtpd_client_event_limit_exceptions", "trusted_networks", func(c *Config) string { return networks(c.Trusted) }},
		{"smtpd_client_ipv4_prefix_length", "limits.ipv4_prefix_length", func(c *Config) string { return strconv.Itoa(c.Limits.RateV4) }},
		{"smtpd_client_ipv6_prefix_length", "limits.ipv6_prefix_length", func(c *Config) string { return strconv.Itoa(c.Limits.RateV6) }},
		{"anvil_rate_time_unit", "limits.rate_time_unit", func(c *Config) string { return span(c.Limits.RateUnit) }},
		{"smtpd_recipient_limit", "limits.recipients", func(c *Config) string { return strconv.Itoa(c.Limits.Recipients) }},
		{"smtpd_recipient_overshoot_limit", "limits.recipient_overshoot", func(c *Config) string { return strconv.Itoa(c.Limits.Overshoot) }},
		{"smtpd_soft_error_limit", "limits.soft_errors", func(c *Config) string { return strconv.Itoa(c.Limits.SoftErrors) }},
		{"smtpd_hard_error_limit", "limits.hard_errors", func(c *Config) string { return strconv.Itoa(c.Limits.HardErrors) }},
		{"smtpd_junk_command_limit", "limits.junk_commands", func(c *Config) string { return strconv.Itoa(c.Limits.JunkCommands) }},
		{"smtpd_error_sleep_time", "timeouts.error_delay", func(c *Config) string { return span(c.Timeouts.Error) }},
		{"smtpd_timeout", "timeouts.command", func(c *Config) string { return span(c.Timeouts.Command) }},
		{"smtpd_starttls_timeout", "timeouts.tls", func(c *Config) string { return span(c.Timeouts.TLS) }},
		{"smtpd_min_data_rate", "timeouts.min_data_rate", func(c *Config) string { return strconv.Itoa(c.Timeouts.MinRate) }},
	}
}

// authorities is a path where it is that of a folder, or of a file.
func authorities(path string, folder bool) string {
	info, err := os.Stat(path)
	if (err == nil && info.IsDir()) != folder {
		return ""
	}
	return path
}

func smtpParameters() []parameter {
	return []parameter{
		{"smtp_tls_security_level", "remote.tls", func(c *Config) string { return c.Remote.TLS }},
		{"smtp_tls_policy_maps", "remote.tls_policy_maps", func(c *Config) string { return list(c.Remote.TLSPolicies) }},
		{"smtp_tls_loglevel", "remote.tls_loglevel", func(c *Config) string { return strconv.Itoa(c.Remote.TLSLog) }},
		{"lmtp_tls_loglevel", "deliver.tls_loglevel", func(c *Config) string { return strconv.Itoa(c.Deliver.TLSLog) }},
		{"smtp_tls_CAfile", "remote.tls_ca_file", func(c *Config) string { return authorities(c.Remote.TLSCAFile, false) }},
		{"smtp_tls_CApath", "remote.tls_ca_file", func(c *Config) string { return authorities(c.Remote.TLSCAFile, true) }},
		{"smtp_tls_cert_file", "remote.tls_cert_file", func(c *Config) string { return c.Remote.TLSCertFile }},
		{"smtp_tls_key_file", "remote.tls_key_file", func(c *Config) string { return c.Remote.TLSKeyFile }},
		{"smtp_tls_fingerprint_cert_match", "remote.tls_fingerprints", func(c *Config) string { return list(c.Remote.TLSFingerprints) }},
		{"smtp_tcp_port", "remote.port", func(c *Config) string { return strconv.Itoa(c.Remote.Port) }},
		{"smtp_skip_5xx_greeting", "remote.skip_5xx_greeting", func(c *Config) string { return yes(c.Remote.SkipGreeting) }},
		{"smtp_send_dummy_mail_auth", "remote.send_dummy_mail_auth", func(c *Config) string { return yes(c.Remote.MailAuth) }},
		{"smtp_discard_ehlo_keyword_address_maps", "remote.discard_ehlo_keyword_address_maps", func(c *Config) string { return list(c.Remote.DiscardMaps) }},
		{"smtp_connection_reuse_time_limit", "remote.connection_reuse_time_limit", func(c *Config) string { return span(c.Remote.ReuseTime) }},
		{"smtp_connection_reuse_count_limit", "remote.connection_reuse_count_limit", func(c *Config) string { return strconv.Itoa(c.Remote.ReuseCount) }},
		{"smtp_connection_cache_on_demand", "remote.reuse", func(c *Config) string { return yes(c.Remote.Reuse > 0) }},
		{"smtp_tls_verify_cert_match", "remote.tls_verify_cert_match", func(c *Config) string { return list(c.Remote.TLSVerifyMatch) }},
		{"smtp_tls_secure_cert_match", "remote.tls_secure_cert_match", func(c *Config) string { return list(c.Remote.TLSSecureMatch) }},
		{"smtp_sasl_password_maps", "password_maps", func(c *Config) string { return list(c.PasswordMaps) }},
		{"smtp_sasl_auth_enable", "password_maps", func(c *Config) string { return yes(len(c.PasswordMaps) > 0 || c.Remote.RelayCredentials != "") }},
		{"smtp_line_length_limit", "remote.line_length_limit", func(c *Config) string { return strconv.Itoa(c.Remote.LineLength) }},
		{"smtp_discard_ehlo_keywords", "remote.discard_ehlo_keywords", func(c *Config) string { return list(c.Remote.DiscardWords) }},
		{"use_srv_lookup", "remote.use_srv_lookup", func(c *Config) string { return list(c.Remote.Services) }},
		{"allow_srv_lookup_fallback", "remote.allow_srv_lookup_fallback", func(c *Config) string { return yes(c.Remote.ServiceFallback) }},
		{"ignore_srv_lookup_error", "remote.ignore_srv_lookup_error", func(c *Config) string { return yes(c.Remote.ServiceIgnore) }},
		{"inet_protocols", "remote.inet_protocols", func(c *Config) string { return c.Remote.Protocols }},
		{"smtp_address_preference", "remote.address_preference", func(c *Config) string { return c.Remote.Prefer }},
		{"smtp_balance_inet_protocols", "remote.balance_inet_protocols", func(c *Config) string { return yes(c.Remote.Balance) }},
		{"smtp_mx_address_limit", "remote.mx_address_limit", func(c *Config) string { return strconv.Itoa(c.Remote.MaxAddresses) }},
		{"smtp_mx_session_limit", "remote.mx_session_limit", func(c *Config) string { return strconv.Itoa(c.Remote.MaxSessions) }},
		{"smtp_tls_protocols", "remote.tls_protocols", func(c *Config) string { return c.Remote.TLSProtocols }},
		{"smtp_tls_mandatory_protocols", "remote.tls_mandatory_protocols", func(c *Config) string { return c.Remote.TLSMandatory }},
		{"smtp_sasl_mechanism_filter", "remote.sasl_mechanism_filter", func(c *Config) string { return list(c.Remote.Filter) }},
		{"smtp_sasl_security_options", "remote.sasl_security_options", func(c *Config) string { return list(c.Remote.Options) }},
		{"smtp_sasl_tls_security_options", "remote.sasl_tls_security_options", func(c *Config) string { return list(c.Remote.TLSOptions) }},
		{"smtp_sasl_auth_soft_bounce", "remote.sasl_auth_soft_bounce", func(c *Config) string { return yes(c.Remote.SoftBounce) }},
		{"smtp_helo_name", "remote.helo_name", func(c *Config) string { return cmp.Or(c.Remote.HeloName, c.hostname()) }},
		{"smtp_bind_address", "remote.source", func(c *Config) string { return c.source(true) }},
		{"smtp_bind_address6", "remote.source", func(c *Config) string { return c.source(false) }},
		{"smtp_connection_cache_time_limit", "remote.reuse", func(c *Config) string { return span(c.Remote.Reuse) }},
		{"smtp_sender_dependent_authentication", "password_maps", func(c *Config) string { return yes(len(c.PasswordMaps) > 0) }},
		{"smtp_connect_timeout", "remote.connect_timeout", func(c *Config) string { return span(c.Remote.ConnectTimeout) }},
		{"disable_mime_output_conversion", "remote.disable_mime_output_conversion", func(c *Config) string { return yes(c.Remote.KeepEightBit) }},
		{"smtp_send_xforward_command", "remote.send_xforward_command", func(c *Config) string { return yes(c.Remote.Forward) }},
		{"lmtp_send_xforward_command", "deliver.send_xforward_command", func(c *Config) string { return yes(c.Deliver.Forward) }},
	}
}

// timeoutParameters are those of one kind of transport: smtp with remote, lmtp
// with deliver.
func timeoutParameters(prefix, section string, of func(*Config) routing.Timeouts) []parameter {
	row := func(name, key string, value func(routing.Timeouts) conf.Duration) parameter {
		return parameter{prefix + "_" + name, section + "." + key, func(c *Config) string { return span(value(of(c))) }}
	}
	helo := "helo_timeout"
	if prefix == "lmtp" {
		helo = "lhlo_timeout"
	}
	return []parameter{
		row(helo, "helo_timeout", func(t routing.Timeouts) conf.Duration { return t.Helo }),
		row("starttls_timeout", "starttls_timeout", func(t routing.Timeouts) conf.Duration { return t.StartTLS }),
		row("mail_timeout", "mail_timeout", func(t routing.Timeouts) conf.Duration { return t.Mail }),
		row("rcpt_timeout", "rcpt_timeout", func(t routing.Timeouts) conf.Duration { return t.Rcpt }),
		row("data_init_timeout", "data_init_timeout", func(t routing.Timeouts) conf.Duration { return t.DataInit }),
		row("data_xfer_timeout", "data_xfer_timeout", func(t routing.Timeouts) conf.Duration { return t.DataXfer }),
		row("data_done_timeout", "data_done_timeout", func(t routing.Timeouts) conf.Duration { return t.DataDone }),
		row("rset_timeout", "rset_timeout", func(t routing.Timeouts) conf.Duration { return t.Rset }),
		row("quit_timeout", "quit_timeout", func(t routing.Timeouts) conf.Duration { return t.Quit }),
	}
}

func queueParameters() []parameter {
	return []parameter{
		{"minimal_backoff_time", "queue.min_backoff", func(c *Config) string { return span(c.Queue.MinBackoff) }},
		{"maximal_backoff_time", "queue.max_backoff", func(c *Config) string { return span(c.Queue.MaxBackoff) }},
		{"maximal_queue_lifetime", "queue.lifetime", func(c *Config) string { return span(c.Queue.Lifetime) }},
		{"bounce_queue_lifetime", "queue.bounce_lifetime", func(c *Config) string { return span(c.Queue.BounceLifetime) }},
		{"delay_warning_time", "queue.delay_warning", func(c *Config) string { return span(c.Queue.DelayWarning) }},
		{"confirm_delay_cleared", "queue.confirm_delay_cleared", func(c *Config) string { return yes(c.Queue.ConfirmDelay) }},
		{"soft_bounce", "queue.soft_bounce", func(c *Config) string { return yes(c.Queue.SoftBounce) }},
		{"notify_classes", "queue.notify_classes", func(c *Config) string { return list(c.Queue.NotifyClasses) }},
		{"bounce_notice_recipient", "queue.bounce_notice_recipient", func(c *Config) string { return c.Queue.BounceNotice }},
		{"delay_notice_recipient", "queue.delay_notice_recipient", func(c *Config) string { return c.Queue.DelayNotice }},
		{"2bounce_notice_recipient", "queue.2bounce_notice_recipient", func(c *Config) string { return c.Queue.DoubleNotice }},
		{"error_notice_recipient", "queue.error_notice_recipient", func(c *Config) string { return c.Queue.ErrorNotice }},
		{"delay_logging_resolution_limit", "delay_logging_resolution_limit", func(c *Config) string { return strconv.Itoa(c.DelayDigits) }},
		{"bounce_size_limit", "bounce.size_limit", func(c *Config) string { return strconv.FormatInt(c.Bounce.SizeLimit.Int64(), 10) }},
		{"bounce_template_file", "bounce.template_file", func(c *Config) string { return c.Bounce.Templates }},
		{"qmgr_message_active_limit", "queue.active_messages", func(c *Config) string { return strconv.Itoa(c.Queue.ActiveMessages) }},
		{"qmgr_message_recipient_limit", "queue.active_recipients", func(c *Config) string { return strconv.Itoa(c.Queue.ActiveRecipients) }},
		{"qmgr_message_recipient_minimum", "queue.active_recipients_minimum", func(c *Config) string { return strconv.Itoa(c.Queue.ActiveMinimum) }},
		{"transport_retry_time", "queue.transport_retry_time", func(c *Config) string { return span(c.Queue.TransportRetry) }},
		{"defer_transports", "queue.defer_transports", func(c *Config) string { return list(c.Queue.DeferTransports) }},
		{"in_flow_delay", "queue.in_flow_delay", func(c *Config) string { return span(c.Queue.InFlowDelay) }},
		{"queue_minfree", "queue.min_free", func(c *Config) string { return strconv.FormatInt(c.Queue.MinFree.Int64(), 10) }},
		{"default_process_limit", "queue.default.concurrency", func(c *Config) string { return strconv.Itoa(c.Queue.Default.Concurrency) }},
	}
}

// limitParameter is one that each transport can have of its own: its name
// follows that of the transport.
type limitParameter struct {
	name, key string
	value     func(queue.Limits) string // empty: not set
}

// usual is the parameter for the transports that have none of their own.
func (p limitParameter) usual() string {
	if p.key == "initial_destination_concurrency" {
		return p.name
	}
	return "default_" + p.name
}

func limitParameters() []limitParameter {
	whole := func(of func(queue.Limits) int) func(queue.Limits) string {
		return func(l queue.Limits) string {
			switch n := of(l); {
			case n == 0:
				return ""
			default:
				return strconv.Itoa(max(n, 0)) // Postfix's 0, for never, is -1 here
			}
		}
	}
	delay := func(of func(queue.Limits) conf.Duration) func(queue.Limits) string {
		return func(l queue.Limits) string {
			if of(l) == 0 {
				return ""
			}
			return span(of(l))
		}
	}
	return []limitParameter{
		{"initial_destination_concurrency", "initial_destination_concurrency", whole(func(l queue.Limits) int { return l.Initial })},
		{"destination_concurrency_limit", "destination_concurrency", whole(func(l queue.Limits) int { return l.Destination })},
		{"destination_recipient_limit", "recipients", whole(func(l queue.Limits) int { return l.Recipients })},
		{"destination_concurrency_positive_feedback", "positive_feedback", func(l queue.Limits) string { return l.Positive.String() }},
		{"destination_concurrency_negative_feedback", "negative_feedback", func(l queue.Limits) string { return l.Negative.String() }},
		{"destination_concurrency_failed_cohort_limit", "failed_cohort_limit", whole(func(l queue.Limits) int { return l.Cohort })},
		{"delivery_slot_cost", "delivery_slot_cost", whole(func(l queue.Limits) int { return l.SlotCost })},
		{"delivery_slot_loan", "delivery_slot_loan", whole(func(l queue.Limits) int { return l.SlotLoan })},
		{"delivery_slot_discount", "delivery_slot_discount", whole(func(l queue.Limits) int { return l.SlotDiscount })},
		{"minimum_delivery_slots", "minimum_delivery_slots", whole(func(l queue.Limits) int { return l.MinimumSlots })},
		{"transport_rate_delay", "transport_rate_delay", delay(func(l queue.Limits) conf.Duration { return l.TransportDelay })},
		{"destination_rate_delay", "destination_rate_delay", delay(func(l queue.Limits) conf.Duration { return l.DestinationDelay })},
	}
}

// usualLimits are the parameters of queue.default. What is 0 there is as if it
// were not there.
func usualLimits() []parameter {
	usual := Default().Queue.Default
	var out []parameter
	for _, p := range limitParameters() {
		out = append(out, parameter{p.usual(), "queue.default." + p.key, func(c *Config) string {
			return cmp.Or(p.value(c.Queue.Default), p.value(usual), "0s")
		}})
	}
	return out
}

// ownLimits are those of each transport.
func (c *Config) ownLimits() []parameter {
	var out []parameter
	names := []string{"smtp", "lmtp", "local", "error", "retry", "discard"}
	for name := range c.Transports {
		names = append(names, name)
	}
	for _, name := range names {
		for _, p := range limitParameters() {
			out = append(out, parameter{name + "_" + p.name, "queue.transports." + name + "." + p.key, func(c *Config) string {
				return cmp.Or(p.value(c.Config.Limits(c.Queue.Settings).Transports[name]), "$"+p.usual())
			}})
		}
	}
	return out
}

// domain is rewrite.mydomain or what stands for it.
func (c *Config) domain() string {
	_, parent, _ := strings.Cut(c.hostname(), ".")
	return cmp.Or(c.Rewrite.Domain, parent)
}

// source is the address to connect from, of IPv4 or IPv6.
func (c *Config) source(four bool) string {
	for _, s := range c.Remote.Source {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Unmap().Is4() == four {
			return s
		}
	}
	return ""
}

// interfaces are the addresses that are listened on.
func (c *Config) interfaces() string {
	var hosts []string
	for _, l := range c.Listeners {
		host := strings.Trim(l.Listen.TCP(), "[]")
		if i := strings.LastIndexByte(host, ':'); i >= 0 {
			host = strings.Trim(host[:i], "[]")
		}
		switch host {
		case "", "0.0.0.0", "::": // systemd's sockets too: only the unit knows
			return "all"
		}
		hosts = append(hosts, host)
	}
	if len(hosts) == 0 {
		return "loopback-only"
	}
	slices.Sort(hosts)
	return list(slices.Compact(hosts))
}

// serverTLS is what the first listener for other servers, or else the first
// one, does about TLS.
func (c *Config) serverTLS() string {
	if !c.TLS.Enabled() || len(c.Listeners) == 0 {
		return ""
	}
	i := max(0, slices.IndexFunc(c.Listeners, func(l Listener) bool { return l.Role == RoleMX }))
	return map[string]string{TLSStart: "may", TLSRequired: "encrypt", TLSImplicit: "encrypt"}[c.Listeners[i].TLS]
}

// certs reports whether a listener for other servers asks for certificates in
// this way.
func (c *Config) certs(how string) bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Role == RoleMX && l.ClientCert == how })
}

// logins reports whether some listener takes logins in this way.
func (c *Config) logins(how string) bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Auth == how })
}

func list(lists ...[]string) string { return strings.Join(slices.Concat(lists...), ", ") }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// networks are written as mynetworks has them, IPv6 in brackets.
func networks(list []conf.Network) string {
	out := make([]string, len(list))
	for i, n := range list {
		p := n.Prefix()
		out[i] = p.String()
		if p.Addr().Is6() {
			out[i] = "[" + p.Addr().String() + "]/" + strconv.Itoa(p.Bits())
		}
	}
	return strings.Join(out, " ")
}

// span writes a duration in the largest of Postfix's units that it is a whole
// number of.
func span(d conf.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d.Std() >= u.size && d.Std()%u.size == 0 {
			return strconv.FormatInt(int64(d.Std()/u.size), 10) + u.name
		}
	}
	return strconv.FormatFloat(d.Std().Seconds(), 'f', -1, 64) + "s"
}
