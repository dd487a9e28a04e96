package sasl

import (
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Choose picks the best mechanism both sides know. private says that the
// connection is encrypted (or local); without it no mechanism that shows the
// password is taken. fail.Permanent when none fits.
func Choose(offered []string, private bool, c Credentials) (gosasl.Client, error) {
	known := []struct {
		name      string
		plaintext bool
		client    func(Credentials) gosasl.Client
	}{
		{"PLAIN", true, NewPlainClient},
		{"LOGIN", true, NewLoginClient},
	}
	for _, k := range known {
		if k.plaintext && !private {
			continue
		}
		for _, o := range offered {
			if strings.EqualFold(o, k.name) {
				return k.client(c), nil
			}
		}
	}
	return nil, fail.New(fail.Permanent, "no authentication mechanism fits: server offers %q, encrypted %v", offered, private)
}
