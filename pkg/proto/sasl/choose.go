package sasl

import (
	"slices"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Choose picks the strongest mechanism both sides know. private says that the
// connection is encrypted (or local); without it no mechanism that shows the
// password is taken. fail.Permanent when none fits.
func Choose(offered []string, private bool, c Credentials) (gosasl.Client, error) {
	for _, m := range Mechanisms() {
		if m.Plaintext && !private || m.named {
			continue
		}
		if slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, m.Name) }) {
			return m.NewClient(c), nil
		}
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
