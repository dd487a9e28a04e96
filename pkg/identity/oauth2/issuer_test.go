package oauth2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// now is the time in all tests.
func now() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

// clock is moved by hand.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// issuer is an OpenID provider over TLS.
type issuer struct {
	*httptest.Server
	t  *testing.T
	ca string

	mu       sync.Mutex
	keys     []jose.JSONWebKey
	answers  map[string]any              // by path: a JSON value, or raw text
	status   map[string]int              // by path: instead of 200
	handlers map[string]http.HandlerFunc // by path: instead of both
	asked    map[string]int              // by path
	last     *http.Request               // with its form read
}

// handlers run beside the test, keys are made once.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	weak, err2 := rsa.GenerateKey(rand.Reader, 1024)
	p256, err3 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err4 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err5 := ed25519.GenerateKey(rand.Reader)
	other, err6 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for _, err := range []error{err1, err2, err3, err4, err5, err6} {
		if err != nil {
			panic(err)
		}
	}
	return map[string]crypto.Signer{"rsa": rsaKey, "weak": weak, "p256": p256, "p384": p384, "ed": ed, "other": other}
})

func public(kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: testKeys()[kid].Public(), KeyID: kid, Use: "sig"}
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{
		t: t, answers: map[string]any{}, status: map[string]int{}, handlers: map[string]http.HandlerFunc{}, asked: map[string]int{},
		keys: []jose.JSONWebKey{public("rsa"), public("p256"), public("p384"), public("ed"), public("weak")},
	}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Server.Close)
	i.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(i.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	i.answers["/.well-known/openid-configuration"] = map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "introspection_endpoint": i.URL + "/introspect",
	}
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	i.mu.Lock()
	i.asked[r.URL.Path]++
	i.last = r
	handler, status, answer := i.handlers[r.URL.Path], i.status[r.URL.Path], i.answers[r.URL.Path]
	if r.URL.Path == "/keys" && answer == nil {
		answer = map[string]any{"keys": i.keys}
	}
	i.mu.Unlock()
	if handler != nil {
		handler(w, r)
		return
	}
	if status != 0 {
		w.WriteHeader(status)
	}
	if text, ok := answer.(string); ok {
		_, _ = w.Write([]byte(text))
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) count(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

// config trusts the issuer's certificate and has much patience.
func (i *issuer) config(mode string) Config {
	c := DefaultConfig()
	c.IntrospectionMode, c.CAFile, c.Timeout = mode, i.ca, conf.Duration(time.Minute)
	if mode == "local" {
		c.OpenIDConfigurationURL, c.Audiences = i.URL+"/.well-known/openid-configuration", []string{"mail"}
	}
	return c
}

// open makes a database of a configuration that is valid.
func open(t *testing.T, c Config, clock func() time.Time) Driver {
	t.Helper()
	file := struct {
		OAuth2 Config `yaml:"oauth2" doc:"The section."`
	}{c}
	if err := conf.Parse("test", nil, &file); err != nil {
		t.Fatal(err)
	}
	d, err := New(c, clock)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// good are the claims of a token for alice.
func (i *issuer) good() map[string]any {
	return map[string]any{
		"iss": i.URL, "aud": "mail", "sub": "4711", "email": "Alice@example.org", "scope": "openid mail",
		"exp": now().Add(time.Hour).Unix(), "iat": now().Unix(), "quota": 10, "groups": []string{"a", "b"},
	}
}

// with changes claims; nil takes one away.
func with(c map[string]any, change map[string]any) map[string]any {
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func sign(t testing.TB, key, alg string, claims any, header map[string]any) string {
	t.Helper()
	o := (&jose.SignerOptions{}).WithHeader("kid", key)
	for k, v := range header {
		o = o.WithHeader(jose.HeaderKey(k), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: testKeys()[key]}, o)
	if err != nil {
		t.Fatal(err)
	}
	body, ok := claims.(string)
	if !ok {
		b, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	signed, err := s.Sign([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// join makes a token of parts as they are.
func join(header, body string, signature []byte) string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(header)) + "." + b([]byte(body)) + "." + b(signature)
}

func who(user string) *request.Request { return &request.Request{User: user, Service: "imap"} }

// outage and refused hold errors to what they must be.
func outage(t *testing.T, err error) {
	t.Helper()
	if !fail.Is(err, fail.Unavailable) || passdb.RefusedOf(err) != nil {
		t.Errorf("no outage: %v", err)
	}
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !fail.Is(err, fail.Denied) || passdb.RefusedOf(err) == nil {
		t.Errorf("no refusal: %v", err)
	}
}
