package oauth2

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// remote asks servers about a token.
func (d *DB) remote(ctx context.Context, token string) (claims, error) {
	c := claims{}
	if d.cfg.TokeninfoURL != "" {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.cfg.TokeninfoURL+url.QueryEscape(token), nil)
		if err != nil {
			return nil, fail.New(fail.Unavailable, "tokeninfo_url cannot be used")
		}
		if c, err = d.question(ctx, r, true); err != nil {
			return nil, err
		}
		if _, named := c.text(d.cfg.UsernameAttribute); named && !d.cfg.ForceIntrospection {
			return c, nil
		}
	}
	if d.cfg.IntrospectionURL == "" && d.metadata == nil {
		return c, nil
	}
	more, err := d.introspect(ctx, token)
	for k, v := range more {
		c[k] = v
	}
	return c, err
}

// introspect asks the introspection endpoint, or one that speaks like it.
func (d *DB) introspect(ctx context.Context, token string) (claims, error) {
	at := d.cfg.IntrospectionURL
	if at == "" {
		m, err := d.metadata.get(ctx)
		if err != nil {
			return nil, err
		}
		if at = m.IntrospectionEndpoint; at == "" {
			return nil, fail.New(fail.Unavailable, "the issuer's metadata names no introspection_endpoint")
		}
	}
	r, err := d.introspection(ctx, at, token)
	if err != nil {
		return nil, err
	}
	// With our own credentials in the request, 401 is about those.
	c, err := d.question(ctx, r, d.cfg.IntrospectionMode == "auth" || (d.cfg.IntrospectionMode == "get" && d.cfg.ClientID == ""))
	if err != nil {
		return nil, err
	}
	if _, ok := c["active"].(bool); !ok && d.cfg.IntrospectionMode == "post" && d.cfg.ActiveAttribute == "" {
		// RFC 7662 section 2.2: required.
		return nil, fail.New(fail.Unavailable, "%s does not say whether the token is active", place(r.URL))
	}
	return c, nil
}

func (d *DB) introspection(ctx context.Context, at, token string) (*http.Request, error) {
	var r *http.Request
	var err error
	form := url.Values{"token": {token}}
	switch d.cfg.IntrospectionMode {
	case "auth":
		if r, err = http.NewRequestWithContext(ctx, http.MethodGet, at, nil); err == nil {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	case "get":
		r, err = http.NewRequestWithContext(ctx, http.MethodGet, at+url.QueryEscape(token), nil)
	default:
		if d.cfg.ClientAuth == "post" {
			form.Set("client_id", d.cfg.ClientID)
			form.Set("client_secret", d.secret)
		}
		if r, err = http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode())); err == nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	if err != nil {
		return nil, fail.New(fail.Unavailable, "introspection_url cannot be used")
	}
	if d.cfg.ClientID != "" && d.cfg.IntrospectionMode != "auth" && d.cfg.ClientAuth == "basic" {
		// RFC 6749 section 2.3.1: each part is encoded as in a form.
		r.SetBasicAuth(url.QueryEscape(d.cfg.ClientID), url.QueryEscape(d.secret))
	}
	return r, nil
}

// question sends r. tokenOnly says that the token is all that the server can
// have refused with 400, 401 or 403 (RFC 6750 section 3.1).
func (d *DB) question(ctx context.Context, r *http.Request, tokenOnly bool) (claims, error) {
	status, body, err := d.http.ask(ctx, r)
	if err != nil {
		return nil, err
	}
	switch status {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		if tokenOnly {
			return nil, refuse("%s answers with status %d", place(r.URL), status)
		}
		return nil, unexpected(r.URL, status)
	default:
		return nil, unexpected(r.URL, status)
	}
	var c claims
	if err := decode(body, &c); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "%s", place(r.URL))
	}
	if c == nil {
		return nil, fail.New(fail.Unavailable, "%s: the answer is no JSON object", place(r.URL))
	}
	return c, nil
}

// vouched checks what a server says of a token's times, issuer and audience,
// as far as it says it, or is configured to have to.
func (d *DB) vouched(c claims) error {
	if err := c.checkTimes(d.now(), d.cfg.Leeway.Std(), false); err != nil {
		return err
	}
	if len(d.cfg.Issuers) > 0 {
		if err := c.checkIssuer(d.cfg.Issuers); err != nil {
			return err
		}
	}
	if len(d.cfg.audiences()) > 0 {
		return c.checkAudience(d.cfg.audiences())
	}
	return nil
}
