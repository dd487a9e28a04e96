package drivers

import (
	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/oauth2"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// tokens is providers of OAuth2.
func tokens() []driver {
	return []driver{{
		name: "oauth2",
		passdb: func(b *builder, e *authconf.Passdb) (passdb.Driver, error) {
			if e.OAuth2 == nil {
				return nil, fail.New(fail.Invalid, "the section oauth2 is missing")
			}
			r, err := b.keep("oauth2", *e.OAuth2, func() (*resource, error) {
				d, err := oauth2.New(*e.OAuth2, b.deps.Now)
				if err != nil {
					return nil, err
				}
				return &resource{name: "oauth2", value: d, close: func() { _ = d.Close() }}, nil
			})
			if err != nil {
				return nil, err
			}
			d, _ := r.value.(oauth2.Driver)
			return d, nil
		},
	}}
}
