package oauth2

import (
	"context"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// local validates a signed token (RFC 7519 section 7.2, RFC 8725).
func (d *DB) local(ctx context.Context, token string) (claims, error) {
	signed, err := jose.ParseSignedCompact(token, d.algs)
	if err != nil || len(signed.Signatures) != 1 {
		// The library's error may quote the token.
		return nil, refuse("the token is no JWT, or is not signed with an algorithm that is allowed")
	}
	header := signed.Signatures[0].Protected
	if err := checkHeader(header); err != nil {
		return nil, err
	}
	keys, issuer, err := d.keysFor(ctx, header.KeyID, header.Algorithm)
	if err != nil {
		return nil, err
	}
	body, ok := verify(signed, keys)
	if !ok {
		return nil, refuse("the token's signature is wrong")
	}
	var c claims
	if err := decode(body, &c); err != nil || c == nil {
		return nil, refuse("the token holds no claims")
	}
	return c, d.trusted(c, issuer)
}

// checkHeader looks at what go-jose leaves to us. Keys and addresses in it
// (jwk, jku, x5u, x5c) are not used at all.
func checkHeader(h jose.Header) error {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "", "jwt", "at+jwt":
	default:
		// RFC 8725 section 3.11: one kind must not pass for another.
		return refuse("a token of type %.40q is not an access token", typ)
	}
	if h.ExtraHeaders["crit"] != nil || h.ExtraHeaders["b64"] != nil {
		return refuse("the token has critical headers")
	}
	return nil
}

// keysFor finds the keys that may have signed. A key id that is not known makes
// the keys be fetched again, unless they were a moment ago.
func (d *DB) keysFor(ctx context.Context, kid, alg string) (keys []jose.JSONWebKey, issuer string, err error) {
	set, err := d.keys.get(ctx)
	if err == nil && kid != "" && !set.has(kid) {
		set, err = d.keys.newer(ctx)
	}
	if err != nil {
		return nil, "", fail.Wrap(fail.Unavailable, err, "keys to check tokens with")
	}
	if keys = set.choose(kid, alg); len(keys) == 0 {
		return nil, "", refuse("there is no key %.40q for %s", kid, alg)
	}
	return keys, set.issuer, nil
}

// verify tries keys.
func verify(signed *jose.JSONWebSignature, keys []jose.JSONWebKey) (body []byte, ok bool) {
	for _, k := range keys {
		if body, err := signed.Verify(k.Key); err == nil {
			return body, true
		}
	}
	return nil, false
}

// trusted checks claims whose signature is right.
func (d *DB) trusted(c claims, issuer string) error {
	issuers := d.cfg.Issuers
	if len(issuers) == 0 && issuer != "" {
		issuers = []string{issuer}
	}
	if err := c.checkIssuer(issuers); err != nil {
		return err
	}
	if err := c.checkAudience(d.cfg.audiences()); err != nil {
		return err
	}
	return c.checkTimes(d.now(), d.cfg.Leeway.Std(), true)
}

// algorithmsOf are the allowed ones among those that exist.
func algorithmsOf(names []string) []jose.SignatureAlgorithm {
	var algs []jose.SignatureAlgorithm
	for _, a := range algorithms() {
		if slices.Contains(names, string(a)) {
			algs = append(algs, a)
		}
	}
	return algs
}
