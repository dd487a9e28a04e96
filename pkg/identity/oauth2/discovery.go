package oauth2

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// metadata is what we use of an issuer's (OpenID Connect Discovery 1.0 section
// 3, RFC 8414 section 2).
type metadata struct {
	Issuer                string `json:"issuer"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint"`
}

// discover fetches the metadata. It counts only for the issuer that it should
// be of, and names only URLs that could have been configured.
func (d *DB) discover(ctx context.Context) (metadata, error) {
	var m metadata
	at := d.cfg.OpenIDConfigurationURL
	if err := d.http.get(ctx, at, &m); err != nil {
		return metadata{}, err
	}
	if len(d.cfg.Issuers) > 0 && !slices.Contains(d.cfg.Issuers, m.Issuer) {
		return metadata{}, fail.New(fail.Unavailable, "the metadata at %s are of %.100q, who is not among issuers", at, m.Issuer)
	}
	if len(d.cfg.Issuers) == 0 && !belongs(at, m.Issuer) {
		return metadata{}, fail.New(fail.Unavailable, "the metadata at %s are of %.100q (if that is right, name it in issuers)", at, m.Issuer)
	}
	for _, u := range []string{m.JWKSURI, m.IntrospectionEndpoint} {
		if u == "" {
			continue
		}
		if err := d.cfg.checkURL(u); err != nil {
			return metadata{}, fail.Wrap(fail.Unavailable, err, "the metadata at %s", at)
		}
	}
	return m, nil
}

// belongs reports whether an issuer's metadata are to be found at a URL: behind
// the issuer's own (Discovery section 4), or with the well-known part between
// host and path (RFC 8414 section 3).
func belongs(at, issuer string) bool {
	if issuer == "" {
		return false
	}
	base := strings.TrimSuffix(issuer, "/")
	if at == base+"/.well-known/openid-configuration" {
		return true
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return false
	}
	path := u.EscapedPath()
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		if at == u.Scheme+"://"+u.Host+"/.well-known/"+name+path {
			return true
		}
	}
	return false
}
