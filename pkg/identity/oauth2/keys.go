package oauth2

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"io"
	"os"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxKeys  = 100 // of a set
	maxTries = 10  // keys tried for a token that names none
)

// keySet are the keys of an issuer, and the issuer if the metadata named it.
type keySet struct {
	keys   []jose.JSONWebKey
	issuer string
}

// readKeys reads a JSON Web Key Set (RFC 7517 section 5). Keys that cannot
// verify a signature here are left out.
func readKeys(raw []json.RawMessage) ([]jose.JSONWebKey, error) {
	if len(raw) > maxKeys {
		return nil, fail.New(fail.Unavailable, "the key set has more than %d keys", maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, r := range raw {
		var k jose.JSONWebKey
		if json.Unmarshal(r, &k) == nil && verifies(k) {
			keys = append(keys, jose.JSONWebKey{Key: k.Key, KeyID: k.KeyID, Algorithm: k.Algorithm})
		}
	}
	if len(keys) == 0 {
		return nil, fail.New(fail.Unavailable, "the key set has no key that can verify a signature")
	}
	return keys, nil
}

// verifies reports a public key for signatures, of a size that is neither weak
// nor a burden.
func verifies(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= 2048 && key.N.BitLen() <= 8192 && key.E < 1<<31
	case *ecdsa.PublicKey:
		return k.Valid()
	case ed25519.PublicKey:
		return len(key) == ed25519.PublicKeySize
	}
	return false
}

// fits reports whether alg is one of key's: what kind of key it is decides
// that, never the token.
func fits(k jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return len(alg) == 5 && (alg[:2] == "RS" || alg[:2] == "PS")
	case *ecdsa.PublicKey:
		switch alg {
		case "ES256":
			return key.Curve == elliptic.P256()
		case "ES384":
			return key.Curve == elliptic.P384()
		case "ES512":
			return key.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// choose lists the keys that may have signed: the one with this id, or all that
// fit when the token names none. A key without an id may be any.
func (s keySet) choose(kid, alg string) []jose.JSONWebKey {
	var found []jose.JSONWebKey
	for _, k := range s.keys {
		if fits(k, alg) && (kid == "" || k.KeyID == "" || k.KeyID == kid) && len(found) < maxTries {
			found = append(found, k)
		}
	}
	return found
}

// has reports whether a key may have this id, whatever it is good for.
func (s keySet) has(kid string) bool {
	for _, k := range s.keys {
		if k.KeyID == kid || k.KeyID == "" {
			return true
		}
	}
	return false
}

// jwks is the document.
type jwks struct {
	Keys []json.RawMessage `json:"keys"`
}

// loadFile reads the keys from jwks_file.
func (d *DB) loadFile(context.Context) (keySet, error) {
	f, err := os.Open(d.cfg.JWKSFile)
	if err != nil {
		return keySet{}, fail.Wrap(fail.Unavailable, err, "jwks_file")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBody+1))
	if err != nil {
		return keySet{}, fail.Wrap(fail.Unavailable, err, "jwks_file")
	}
	if len(text) > maxBody {
		return keySet{}, fail.New(fail.Unavailable, "jwks_file %s is larger than %d bytes", d.cfg.JWKSFile, maxBody)
	}
	var doc jwks
	if err := decode(text, &doc); err != nil {
		return keySet{}, fail.Wrap(fail.Unavailable, err, "jwks_file %s", d.cfg.JWKSFile)
	}
	keys, err := readKeys(doc.Keys)
	return keySet{keys: keys}, fail.Wrap(fail.Unavailable, err, "jwks_file %s", d.cfg.JWKSFile)
}

// loadURL fetches the keys from jwks_url, or from where the metadata says.
func (d *DB) loadURL(ctx context.Context) (keySet, error) {
	at, issuer := d.cfg.JWKSURL, ""
	if at == "" {
		m, err := d.discover(ctx)
		if err != nil {
			return keySet{}, err
		}
		if at, issuer = m.JWKSURI, m.Issuer; at == "" {
			return keySet{}, fail.New(fail.Unavailable, "the issuer's metadata names no jwks_uri")
		}
	}
	var doc jwks
	if err := d.http.get(ctx, at, &doc); err != nil {
		return keySet{}, err
	}
	keys, err := readKeys(doc.Keys)
	return keySet{keys: keys, issuer: issuer}, fail.Wrap(fail.Unavailable, err, "%.200s", at)
}
