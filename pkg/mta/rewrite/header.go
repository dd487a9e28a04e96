package rewrite

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// headerPlace says as whose a field's addresses are rewritten; 0 is for a field
// without addresses. Resent-Reply-To is a recipient's in Postfix. The name is in
// lower case.
func headerPlace(name string) Places {
	switch name {
	case "from", "sender", "reply-to", "resent-from", "resent-sender",
		"return-path", "errors-to", "return-receipt-to", "disposition-notification-to", "mail-followup-to":
		return HeaderSender
	case "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc", "resent-reply-to", "apparently-to":
		return HeaderRecipient
	}
	return 0
}

// HasAddresses reports whether Field and OutboundField look at the fields of a
// name, in lower case.
func HasAddresses(name []byte) bool {
	return headerPlace(string(name)) != 0
}

// Field rewrites the addresses in the value of a header field as for mail of
// this site's own users. changed is false for fields without addresses, and
// for values that cannot be read without doubt. The rest of the value, names,
// comments and line breaks, stays as it is.
func (e *Engine) Field(ctx context.Context, name, value string) (out string, changed bool, err error) {
	place := headerPlace(name)
	if place == 0 {
		return value, false, nil
	}
	return rewriteSpans(value, func(a addr.Address) (addr.Address, error) {
		return e.place(ctx, e.completeField(ctx, a), place)
	})
}

// RewritesHeaders reports whether Field changes more than it completes.
func (e *Engine) RewritesHeaders() bool {
	inHeader := func(c Canonical) bool { return !c.Map.Empty() && c.Places&(HeaderSender|HeaderRecipient) != 0 }
	return inHeader(e.cfg.Canonical) || inHeader(e.cfg.SenderCanonical) || inHeader(e.cfg.RecipientCanonical) ||
		len(e.cfg.Masquerade) > 0 && e.cfg.MasqueradePlaces&(HeaderSender|HeaderRecipient) != 0
}

// OutboundField is Field for mail that leaves for another host.
func (e *Engine) OutboundField(ctx context.Context, name, value string) (out string, changed bool, err error) {
	if headerPlace(name) == 0 {
		return value, false, nil
	}
	return rewriteSpans(value, func(a addr.Address) (addr.Address, error) { return e.Outbound(ctx, a) })
}

func rewriteSpans(value string, f func(addr.Address) (addr.Address, error)) (string, bool, error) {
	spans, ok := scan(value)
	if !ok {
		return value, false, nil
	}
	var b strings.Builder
	done := 0
	for _, s := range spans {
		a, err := addr.Parse(strings.TrimSpace(value[s.from:s.to]))
		if err != nil || a.Null() {
			continue
		}
		to, err := f(a)
		if err != nil {
			return value, false, err
		}
		if to == a && value[s.to-1] != '.' { // the dot that ends a domain goes
			continue
		}
		b.WriteString(value[done:s.from])
		b.WriteString(to.String())
		done = s.to
	}
	if done == 0 {
		return value, false, nil
	}
	return b.String() + value[done:], true, nil
}
