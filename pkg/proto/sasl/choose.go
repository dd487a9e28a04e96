package sasl

import (
	"slices"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Choose picks the strongest mechanism both sides know: one for tokens if c
// has a token, else one for passwords. private says that the connection is
// encrypted (or local); without it no mechanism that shows the password is
// taken. fail.Permanent when none fits.
func Choose(offered []string, private bool, c Credentials) (gosasl.Client, error) {
	if c.Binder != nil {
		if _, _, err := binding(c.Binder); err != nil {
			c.Binder = nil // there is TLS, but nothing to bind to
		}
	}
	for _, m := range Mechanisms() {
		switch {
		case m.named, m.Plaintext && !private, m.Token != (c.Token != ""), m.Binding && c.Binder == nil:
			continue
		}
		if !slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, m.Name) }) {
			continue
		}
		client := m.NewClient(c)
		if s, ok := client.(*scramClient); ok && !s.plus && c.Binder != nil {
			// Tell the server that we looked for -PLUS: whoever took it off
			// the list is found out.
			s.flag = "y"
		}
		return client, nil
	}
	return nil, fail.New(fail.Permanent, "no authentication mechanism fits: server offers %q, encrypted %v", offered, private)
}

// NewClient makes a client of the mechanism called name, whatever its
// strength. fail.NotFound when there is none.
func NewClient(name string, c Credentials) (gosasl.Client, error) {
	m, ok := Find(name)
	if !ok {
		return nil, fail.New(fail.NotFound, "authentication mechanism %.20q is not known", name)
	}
	return m.NewClient(c), nil
}

// Complete is to be asked once the server has granted the login: with a
// mechanism in which the server proves itself too, an error says that it did
// not.
func Complete(c gosasl.Client) error {
	if m, ok := c.(interface{ Complete() error }); ok {
		return m.Complete()
	}
	return nil
}
