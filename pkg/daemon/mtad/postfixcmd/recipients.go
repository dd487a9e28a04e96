package postfixcmd

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// maxRecipients caps the recipients of one message.
const maxRecipients = 50000

// addresses reads a list of addresses and completes those without a domain.
func addresses(text, origin string) ([]addr.Address, error) {
	var list []addr.Address
	for _, a := range message.ParseAddresses(text, maxRecipients) {
		if a.Kind != message.Mailbox {
			continue
		}
		full, err := complete(a.Mailbox, a.Host, origin)
		// The parser joins words ("a b@c" to "ab@c"), so that people see
		// something; mail must not go there.
		if err != nil || !strings.Contains(text, a.Mailbox) && !strings.Contains(text, full.String()) {
			return nil, fail.New(fail.Invalid, "malformed address: %s", oneLine(text[:min(len(text), 200)]))
		}
		list = append(list, full)
	}
	return list, nil
}

func complete(local, domain, origin string) (addr.Address, error) {
	if domain == "" {
		domain = origin
	}
	if local == "" || len(local) > 512 || strings.ContainsAny(local, "\x00\r\n") {
		return addr.Address{}, fail.New(fail.Invalid, "no address")
	}
	// Text that is no address at all comes from the parser as one local part.
	if domain == origin && strings.ContainsAny(local, " <>()[]:;,") {
		return addr.Address{}, fail.New(fail.Invalid, "no address")
	}
	name, err := addr.Domain(domain)
	return addr.Address{Local: local, Domain: name}, err
}

// senderOf is the sender of -f, or the user who calls.
func senderOf(req *request, login, origin string) (addr.Address, error) {
	text := strings.TrimSpace(req.from)
	if !req.hasFrom {
		text = login
	} else if text == "" || text == "<>" {
		return addr.Address{}, nil
	}
	list, err := addresses(text, origin)
	if err != nil || len(list) != 1 {
		return addr.Address{}, fail.New(fail.Invalid, "malformed sender")
	}
	return list[0], nil
}

// recipientFields are where -t finds recipients; those of a resent message
// stand for the others (RFC 5322 section 3.6.6).
func headerRecipients(h *header, origin string) ([]addr.Address, error) {
	names := []string{"resent-to", "resent-cc", "resent-bcc"}
	if !slices.ContainsFunc(names, h.has) {
		names = []string{"to", "cc", "bcc"}
	}
	var out []addr.Address
	for _, name := range names {
		for _, value := range h.values(name) {
			list, err := addresses(value, origin)
			if err != nil {
				return nil, err
			}
			if out = append(out, list...); len(out) > maxRecipients {
				return nil, fail.New(fail.Invalid, "more than %d recipients", maxRecipients)
			}
		}
	}
	return out, nil
}
