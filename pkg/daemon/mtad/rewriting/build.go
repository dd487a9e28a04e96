package rewriting

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/rewrite"
	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/mta/rewrite/srs"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Host is what the rest of the configuration says.
type Host struct {
	Hostname string
	Delims   string
	Trusted  []netip.Prefix
	Routes   *route.Table
	Tables   lookup.Options
	Now      func() time.Time
	Warn     func(text string, err error) // nil tells nobody
}

// Rewriter is what the section means. It is immutable and safe for concurrent
// use.
type Rewriter struct {
	*rewrite.Engine
	cfg      Config
	remote   *rewrite.Engine   // for the headers of strangers; nil without remote_header_rewrite_domain
	aliases  *aliases.Expander // nil without alias_maps
	forwards *aliases.Forwards // nil without forward_socket
	srs      *srs.Rewriter     // nil without srs.domain
	logins   maps.Map
	delims   string
	origin   string
	clients  []netip.Prefix
	authed   bool // authenticated clients are this site's own
	routes   *route.Table
	copies   bool // some table makes blind copies
	strip    header.Bytes
	reject   header.Bytes
}

// Unwanted are the bytes that are removed from messages, and those that no
// message may have.
func (r *Rewriter) Unwanted() (strip, reject *header.Bytes) { return &r.strip, &r.reject }

// New builds a Rewriter. Errors: fail.Invalid, or the key file cannot be read.
func (c Config) New(h Host) (*Rewriter, error) {
	r := &Rewriter{cfg: c, routes: h.Routes, delims: h.Delims}
	ec, err := c.engine(h)
	if err != nil {
		return nil, err
	}
	ec.Bare = r.bare
	if r.Engine, err = rewrite.New(ec); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "rewrite")
	}
	if c.RemoteDomain != "" {
		ec.FieldDomain = c.RemoteDomain
		if r.remote, err = rewrite.New(ec); err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "rewrite.remote_header_rewrite_domain")
		}
	}
	r.origin = ec.Origin
	r.copies = !ec.AlwaysBCC.Null() || !ec.SenderBCC.Empty() || !ec.RecipientBCC.Empty()
	if r.clients, r.authed, err = c.clients(h.Trusted); err != nil {
		return nil, err
	}
	if r.logins, err = maps.Open("rewrite.sender_login_maps", c.SenderLoginMaps, h.Tables); err != nil {
		return nil, err
	}
	if r.strip, err = header.ParseBytes(c.Strip); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "rewrite.message_strip_characters")
	}
	if r.reject, err = header.ParseBytes(c.Reject); err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "rewrite.message_reject_characters")
	}
	if c.Undisclosed != "" && !header.Field(c.Undisclosed) {
		return nil, fail.New(fail.Invalid, "rewrite.undisclosed_recipients_header: %q is no header field, such as To: undisclosed-recipients:;", c.Undisclosed)
	}
	if err := r.openAliases(h); err != nil {
		return nil, err
	}
	r.openForwards(h)
	return r, r.openSRS(h)
}

// engine makes the configuration of the engine.
func (c Config) engine(h Host) (rewrite.Config, error) {
	ec := rewrite.Config{
		Origin: c.Origin, KeepBare: !c.AppendAt, Domain: c.Domain, AppendDot: c.AppendDot, SwapBang: c.SwapBang, PercentHack: c.PercentHack, Delims: h.Delims,
		PropagateCanonical: slices.Contains(c.Propagate, "canonical"), PropagateVirtual: slices.Contains(c.Propagate, "virtual"), PropagateGeneric: slices.Contains(c.Propagate, "generic"),
		Masquerade: c.Masquerade, MasqueradeExcept: c.MasqueradeExcept, ExpansionLimit: c.ExpansionLimit, RecursionLimit: c.RecursionLimit,
	}
	if ec.Origin == "" {
		ec.Origin = h.Hostname
	}
	if _, parent, ok := strings.Cut(h.Hostname, "."); ok && ec.Domain == "" {
		ec.Domain = parent
	}
	for _, t := range []struct {
		into  *maps.Map
		key   string
		specs []string
	}{
		{&ec.Canonical.Map, "canonical_maps", c.Canonical},
		{&ec.SenderCanonical.Map, "sender_canonical_maps", c.Sender},
		{&ec.RecipientCanonical.Map, "recipient_canonical_maps", c.Recipient},
		{&ec.VirtualAlias, "virtual_alias_maps", c.VirtualAlias},
		{&ec.Relocated, "relocated_maps", c.Relocated},
		{&ec.Generic, "smtp_generic_maps", c.Generic},
		{&ec.SenderBCC, "sender_bcc_maps", c.SenderBCC},
		{&ec.RecipientBCC, "recipient_bcc_maps", c.RecipientBCC},
	} {
		var err error
		if *t.into, err = maps.Open("rewrite."+t.key, t.specs, h.Tables); err != nil {
			return ec, err
		}
	}
	const senders, recipients = rewrite.EnvelopeSender | rewrite.HeaderSender, rewrite.EnvelopeRecipient | rewrite.HeaderRecipient
	for _, p := range []struct {
		into  *rewrite.Places
		key   string
		names []string
		of    rewrite.Places
	}{
		{&ec.Canonical.Places, "canonical_classes", c.CanonicalPlaces, senders | recipients},
		{&ec.SenderCanonical.Places, "sender_canonical_classes", c.SenderPlaces, senders},
		{&ec.RecipientCanonical.Places, "recipient_canonical_classes", c.RecipientPlaces, recipients},
		{&ec.MasqueradePlaces, "masquerade_classes", c.MasqueradePlaces, senders | recipients},
	} {
		var err error
		if *p.into, err = rewrite.ParsePlaces(p.names, p.of); err != nil {
			return ec, fail.Wrap(fail.Invalid, err, "rewrite.%s", p.key)
		}
	}
	bcc, err := addr.Parse(c.AlwaysBCC)
	ec.AlwaysBCC = bcc
	return ec, fail.Wrap(fail.Invalid, err, "rewrite.always_bcc")
}

// clients reads local_header_rewrite_clients.
func (c Config) clients(trusted []netip.Prefix) (nets []netip.Prefix, authed bool, err error) {
	for _, s := range c.HeaderClients {
		switch s {
		case "authenticated":
			authed = true
			continue
		case "trusted":
			nets = append(nets, trusted...)
			continue
		}
		var n conf.Network
		if err := n.UnmarshalText([]byte(s)); err != nil {
			return nil, false, fail.Wrap(fail.Invalid, err, "rewrite.local_header_rewrite_clients: trusted, authenticated, or a network")
		}
		nets = append(nets, n.Prefix())
	}
	return nets, authed, nil
}

// bare reports whether tables may list the users of a domain by name alone.
func (r *Rewriter) bare(ctx context.Context, domain string) (bool, error) {
	class, err := r.routes.Class(ctx, domain)
	return class == route.Local, err
}

// builtFiles are Postfix's types of table that are built from aliases(5) text.
var builtFiles = []string{"aliases:", "hash:", "btree:", "cdb:", "lmdb:", "dbm:", "sdbm:", "texthash:"}

func (r *Rewriter) openAliases(h Host) error {
	if len(r.cfg.Aliases) == 0 {
		return nil
	}
	m := maps.Map{Key: "rewrite.alias_maps"}
	for _, spec := range r.cfg.Aliases {
		if path, ok := aliasesFile(spec); ok {
			m.Tables = append(m.Tables, aliases.Open(path, h.Now))
			continue
		}
		o := h.Tables
		o.NoGroups = true
		t, err := lookup.Open(spec, o)
		if err != nil {
			return fail.Wrap(fail.Invalid, err, "rewrite.alias_maps")
		}
		m.Tables = append(m.Tables, t)
	}
	c := &r.cfg
	r.aliases = aliases.New(aliases.Config{
		Map: m, Delims: h.Delims, ExpandOwner: c.ExpandOwner, Parse: r.ParseList, Local: r.bare,
		PropagateAlias: slices.Contains(c.Propagate, "alias"), PropagateInclude: slices.Contains(c.Propagate, "include"),
		Commands: slices.Contains(c.AllowCommands, "alias"), IncludeCommands: slices.Contains(c.AllowCommands, "include"),
		Files: slices.Contains(c.AllowFiles, "alias"), IncludeFiles: slices.Contains(c.AllowFiles, "include"),
	})
	return nil
}

func aliasesFile(spec string) (path string, ok bool) {
	spec = strings.TrimPrefix(spec, "proxy:")
	for _, kind := range builtFiles {
		if path, ok := strings.CutPrefix(spec, kind); ok && strings.HasPrefix(path, "/") {
			return path, true
		}
	}
	return "", false
}

func (r *Rewriter) openSRS(h Host) error {
	c := r.cfg.SRS
	if c.Domain == "" {
		return nil
	}
	if c.KeyFile == "" {
		return fail.New(fail.Invalid, "rewrite.srs.key_file is missing")
	}
	text, err := c.KeyFile.Read()
	if err != nil {
		return err
	}
	r.srs, err = srs.New(c.Domain, strings.Split(text, "\n"), c.MaxAge, h.Now)
	return fail.Wrap(fail.Invalid, err, "rewrite.srs")
}

// Check reports what is wrong with the section. It opens no file.
func (c Config) Check(p *conf.Reporter, h Host) {
	c.SRS.KeyFile, c.SRS.Domain = "", ""
	if _, err := c.New(h); err != nil {
		p.Errorf("%v", err)
	}
	for _, w := range c.Propagate {
		if !slices.Contains([]string{"canonical", "virtual", "alias", "include", "generic", "forward"}, w) {
			p.At("propagate_unmatched_extensions").Errorf("%q is no kind of table", w)
		}
	}
	if s := c.ForwardPrograms; s != "" && !strings.Contains(s, userMacro) {
		p.At("forward_programs").Hint("/run/mtad-run-${user}/socket").Errorf("each user's programs need a helper of their own: ${user} is missing")
	}
	for key, list := range map[string][]string{"allow_mail_to_commands": c.AllowCommands, "allow_mail_to_files": c.AllowFiles} {
		for _, w := range list {
			if w != "alias" && w != "include" && w != "forward" {
				p.At(key).Hint("alias, include, forward").Errorf("%q is not allowed", w)
			}
		}
	}
}
