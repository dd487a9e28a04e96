package oauth2

import (
	"context"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
)

func TestLocal(t *testing.T) {
	i := newIssuer(t)
	c := i.config("local")
	c.Scope = "mail openid"
	c.PassAttrs = map[string]string{
		"userdb_quota": "%{oauth2:quota}M", "groups": "%{oauth2:groups}", "pass": "%{oauth2:access_token}",
		"left_out": "x%{oauth2:missing}", "service": "%s", "filled": "%{oauth2:missing | default('none')}",
	}
	d := open(t, c, now)
	for _, k := range [][2]string{{"rsa", "RS256"}, {"rsa", "PS256"}, {"p256", "ES256"}, {"p384", "ES384"}, {"ed", "EdDSA"}} {
		token := sign(t, k[0], k[1], i.good(), nil)
		for _, user := range []string{"", "alice@example.org"} {
			a, err := d.VerifyToken(t.Context(), who(user), token)
			if err != nil || a.User != "alice@example.org" || a.Stored != "" || a.NoPassword {
				t.Errorf("%v: %+v %v", k, a, err)
				continue
			}
			if got := show(a.Fields) + " / " + show(a.Userdb); got != "filled=none groups=a b pass="+token+" service=imap / quota=10M" {
				t.Error(got)
			}
		}
		_, err := d.VerifyToken(t.Context(), who("bob@example.org"), token)
		refused(t, err)
	}
	if d.Name() != "oauth2" || i.count("/keys") != 1 {
		t.Error(d.Name(), i.count("/keys"))
	}
	if _, ok := d.(passdb.Verifier); ok {
		t.Error("passwords would be taken for tokens")
	}
}

func show(fs []account.Field) string {
	var parts []string
	for _, f := range fs {
		parts = append(parts, f.Key+"="+f.Value)
	}
	return strings.Join(parts, " ")
}

// Each of these is a refusal, none an outage. CVE-2021-29157: what a token says
// of its key (kid, azp) is no path to one.
func TestBadTokens(t *testing.T) {
	i := newIssuer(t)
	c := i.config("local")
	c.Scope, c.ActiveAttribute, c.ActiveValue = "mail", "state", "in use"
	good := func(change map[string]any) map[string]any {
		return with(with(i.good(), map[string]any{"state": "in use"}), change)
	}
	signed := func(change map[string]any) string { return sign(t, "p256", "ES256", good(change), nil) }
	titled := func(header map[string]any) string { return sign(t, "p256", "ES256", good(nil), header) }
	body, err := json.Marshal(good(nil))
	if err != nil {
		t.Fatal(err)
	}
	// HS256 with the public key as its secret, in the forms that libraries
	// have fallen for.
	hs256 := func(kid string, secret []byte) string {
		token := join(`{"alg":"HS256","kid":"`+kid+`"}`, string(body), nil)
		m := hmac.New(sha256.New, secret)
		m.Write([]byte(strings.TrimSuffix(token, ".")))
		return join(`{"alg":"HS256","kid":"`+kid+`"}`, string(body), m.Sum(nil))
	}
	der, err := x509.MarshalPKIXPublicKey(testKeys()["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	right := signed(nil)
	parts := strings.Split(right, ".")
	for name, token := range map[string]string{
		"empty":                     "",
		"no JWT":                    "opaque-token",
		"two parts":                 parts[0] + "." + parts[1],
		"five parts, encrypted":     right + ".x.y",
		"a space":                   parts[0] + " ." + parts[1] + "." + parts[2],
		"JSON form":                 `{"payload":"","protected":"","signature":""}`,
		"huge":                      parts[0] + "." + strings.Repeat("A", maxToken) + "." + parts[2],
		"not base64":                "e30=" + right,
		"no signature":              parts[0] + "." + parts[1] + ".",
		"signature of another body": parts[0] + "." + parts[1] + "x." + parts[2],
		"alg none":                  join(`{"alg":"none"}`, string(body), nil),
		"alg None":                  join(`{"alg":"None","kid":"p256"}`, string(body), nil),
		"alg empty":                 join(`{"alg":"","kid":"p256"}`, string(body), nil),
		"alg missing":               join(`{"kid":"p256"}`, string(body), nil),
		"alg a list":                join(`{"alg":["ES256"],"kid":"p256"}`, string(body), nil),
		"HS256, PEM key":            hs256("rsa", asPEM),
		"HS256, DER key":            hs256("rsa", der),
		"HS256, modulus":            hs256("rsa", testKeys()["rsa"].Public().(*rsa.PublicKey).N.Bytes()),
		"HS256, empty key":          hs256("rsa", nil),
		"algorithm not allowed":     sign(t, "rsa", "RS512", good(nil), nil),
		"weak key":                  sign(t, "weak", "RS256", good(nil), nil),
		"unknown key":               sign(t, "other", "ES256", good(nil), nil),
		"another key's id":          sign(t, "other", "ES256", good(nil), map[string]any{"kid": "p256"}),
		"path as key id":            sign(t, "p256", "ES256", good(nil), map[string]any{"kid": "../../../../etc/passwd"}),
		"path with NUL":             sign(t, "p256", "ES256", good(nil), map[string]any{"kid": "/dev/null\x00"}),
		"SQL as key id":             sign(t, "p256", "ES256", good(nil), map[string]any{"kid": "x' UNION SELECT 'a"}),
		"key id of another kind":    sign(t, "p256", "ES256", good(nil), map[string]any{"kid": "rsa"}),
		"own key inside":            sign(t, "other", "ES256", good(nil), map[string]any{"jwk": jose.JSONWebKey{Key: testKeys()["other"].Public()}}),
		"own key's address":         sign(t, "other", "ES256", good(nil), map[string]any{"jku": i.URL + "/evil"}),
		"critical header":           titled(map[string]any{"crit": []string{"x"}, "x": 1}),
		"unencoded body":            titled(map[string]any{"b64": false}),
		"unencoded body, critical":  titled(map[string]any{"b64": false, "crit": []string{"b64"}}),
		"a logout token":            titled(map[string]any{"typ": "logout+jwt"}),
		"expired":                   signed(map[string]any{"exp": now().Add(-time.Minute).Unix()}),
		"never expires":             signed(map[string]any{"exp": nil}),
		"expiry is null":            sign(t, "p256", "ES256", strings.Replace(string(body), `"exp":`, `"exp":null,"x":`, 1), nil),
		"expiry is a list":          signed(map[string]any{"exp": []int{1}}),
		"expiry is no number":       signed(map[string]any{"exp": "NaN"}),
		"expiry is infinite":        signed(map[string]any{"exp": "Inf"}),
		"expiry is too far":         sign(t, "p256", "ES256", strings.Replace(string(body), `"exp":`, `"exp":1e300,"x":`, 1), nil),
		"expiry before the epoch":   signed(map[string]any{"exp": -1}),
		"not yet":                   signed(map[string]any{"nbf": now().Add(time.Minute).Unix()}),
		"from the future":           signed(map[string]any{"iat": now().Add(time.Hour).Unix()}),
		"wrong issuer":              signed(map[string]any{"iss": i.URL + "/"}),
		"no issuer":                 signed(map[string]any{"iss": nil}),
		"issuer is a list":          signed(map[string]any{"iss": []string{i.URL}}),
		"wrong audience":            signed(map[string]any{"aud": "calendar"}),
		"audience by parts":         signed(map[string]any{"aud": "calendar mail"}),
		"other audiences":           signed(map[string]any{"aud": []string{"calendar", "MAIL"}}),
		"audience is an object":     signed(map[string]any{"aud": map[string]any{"mail": true}}),
		"no audience":               signed(map[string]any{"aud": nil}),
		"wrong scope":               signed(map[string]any{"scope": "openid mailbox"}),
		"no scope":                  signed(map[string]any{"scope": nil}),
		"account not in use":        signed(map[string]any{"state": "closed"}),
		"account state missing":     signed(map[string]any{"state": nil}),
		"bound to a key":            signed(map[string]any{"cnf": map[string]any{"jkt": "x"}}),
		"not active":                signed(map[string]any{"active": false}),
		"no user":                   signed(map[string]any{"email": nil}),
		"user is empty":             signed(map[string]any{"email": ""}),
		"user is a number":          signed(map[string]any{"email": 7}),
		"user is a list":            signed(map[string]any{"email": []string{"alice@example.org"}}),
		"user is a path":            signed(map[string]any{"email": "../../alice@example.org"}),
		"user with control":         signed(map[string]any{"email": "alice@example.org\n"}),
		"email not verified":        signed(map[string]any{"email_verified": false}),
		"another user":              signed(map[string]any{"email": "bob@example.org"}),
		"body is a list":            sign(t, "p256", "ES256", `[]`, nil),
		"body is null":              sign(t, "p256", "ES256", `null`, nil),
		"body is no JSON":           sign(t, "p256", "ES256", `{"iss"`, nil),
		"body is two":               sign(t, "p256", "ES256", string(body)+`{}`, nil),
		"body nests":                sign(t, "p256", "ES256", strings.Repeat(`{"a":`, 1500)+"1"+strings.Repeat("}", 1500), nil),
	} {
		d := open(t, c, now)
		a, err := d.VerifyToken(t.Context(), who("alice@example.org"), token)
		if passdb.RefusedOf(err) == nil || a.User != "" {
			t.Errorf("%s: %+v %v", name, a, err)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[len(token)/2:]) {
			t.Errorf("%s: the token is in the error", name)
		}
		_ = d.Close()
	}
	// The same without a fault.
	if _, err := open(t, c, now).VerifyToken(t.Context(), who("alice@example.org"), right); err != nil {
		t.Error(err)
	}
	if i.count("/evil") != 0 {
		t.Error("a token said whom to ask")
	}
}

// What is unusual, but right.
func TestOddTokens(t *testing.T) {
	i := newIssuer(t)
	signed := func(change map[string]any) string { return sign(t, "p256", "ES256", with(i.good(), change), nil) }
	d := open(t, i.config("local"), now)
	for name, token := range map[string]string{
		"several audiences":     signed(map[string]any{"aud": []string{"calendar", "mail"}}),
		"expired within leeway": signed(map[string]any{"exp": now().Add(-20 * time.Second).Unix()}),
		"fractions of a second": signed(map[string]any{"exp": float64(now().Unix()) + 10.5}),
		"an access token":       sign(t, "p256", "ES256", i.good(), map[string]any{"typ": "application/at+jwt"}),
		"email verified":        signed(map[string]any{"email_verified": true}),
		"no key id":             sign(t, "ed", "EdDSA", i.good(), map[string]any{"kid": ""}),
		"azp is a path":         signed(map[string]any{"azp": "../../x"}),
	} {
		if _, err := d.VerifyToken(t.Context(), who("alice@example.org"), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := i.config("local")
	c.Audiences, c.ClientID = nil, "mail"
	if _, err := open(t, c, now).VerifyToken(t.Context(), who(""), signed(nil)); err != nil {
		t.Error("client_id as the audience:", err)
	}
	c.Audiences = []string{"*"}
	if _, err := open(t, c, now).VerifyToken(t.Context(), who(""), signed(map[string]any{"aud": nil})); err != nil {
		t.Error("any audience:", err)
	}
	c.UsernameAttribute, c.UsernameFormat = "sub", "u%n@example.org"
	if a, err := open(t, c, now).VerifyToken(t.Context(), who(""), signed(nil)); err != nil || a.User != "u4711@example.org" {
		t.Error(a, err)
	}
}

// Tokens of a new key are taken at once, those of a key that is gone are
// refused when the keys were fetched again, and made-up key ids do not turn us
// into a load on the issuer.
func TestKeyRotation(t *testing.T) {
	i := newIssuer(t)
	i.keys = []jose.JSONWebKey{public("rsa")}
	k := &clock{}
	d := open(t, i.config("local"), k.now)
	verify := func(key, alg, kid string) error {
		claims := with(i.good(), map[string]any{"exp": k.now().Add(time.Hour).Unix()})
		_, err := d.VerifyToken(t.Context(), who(""), sign(t, key, alg, claims, map[string]any{"kid": kid}))
		return err
	}
	if err := verify("rsa", "RS256", "rsa"); err != nil {
		t.Error(err)
	}
	i.set(func() { i.keys = []jose.JSONWebKey{public("p256")} })
	k.advance(time.Minute)
	if err := verify("p256", "ES256", "p256"); err != nil {
		t.Error(err)
	}
	refused(t, verify("rsa", "RS256", "rsa"))
	before := i.count("/keys")
	for n := range 100 {
		refused(t, verify("other", "ES256", strings.Repeat("x", n+1)))
	}
	if n := i.count("/keys") - before; n != 0 {
		t.Errorf("fetched %d times within half a minute", n)
	}
	k.advance(renewAtMost)
	for range 100 {
		refused(t, verify("other", "ES256", "nobody"))
	}
	if n := i.count("/keys") - before; n != 1 {
		t.Errorf("fetched %d times", n)
	}
	// While the issuer is down, known keys are good and unknown ones nobody
	// knows.
	i.set(func() { i.status["/keys"] = http.StatusInternalServerError })
	k.advance(2 * time.Hour)
	if err := verify("p256", "ES256", "p256"); err != nil {
		t.Error(err)
	}
	outage(t, verify("other", "ES256", "nobody"))
	before = i.count("/keys")
	for range 20 {
		outage(t, verify("other", "ES256", "nobody"))
		if err := verify("p256", "ES256", "p256"); err != nil {
			t.Error(err)
		}
	}
	if n := i.count("/keys") - before; n != 0 {
		t.Errorf("fetched %d times right after a failure", n)
	}
	k.advance(maxStale)
	outage(t, verify("p256", "ES256", "p256"))
	i.set(func() { delete(i.status, "/keys") })
	k.advance(retryAfter)
	if err := verify("p256", "ES256", "p256"); err != nil {
		t.Error(err)
	}
}

// Many logins at once fetch the keys once; one that gives up takes nobody with
// it.
func TestOneFetch(t *testing.T) {
	i := newIssuer(t)
	entered, release := make(chan struct{}, 10), make(chan struct{})
	i.handlers["/keys"] = func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": i.keys})
	}
	d := open(t, i.config("local"), now)
	token := sign(t, "ed", "EdDSA", i.good(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	var first, others sync.WaitGroup
	first.Go(func() {
		_, err := d.VerifyToken(ctx, who(""), token)
		outage(t, err)
	})
	<-entered
	for range 20 {
		others.Go(func() {
			if _, err := d.VerifyToken(t.Context(), who(""), token); err != nil {
				t.Error(err)
			}
		})
	}
	cancel()
	first.Wait()
	close(release)
	others.Wait()
	if n := i.count("/keys"); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestKeyFile(t *testing.T) {
	i := newIssuer(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	store := func(keys ...jose.JSONWebKey) {
		t.Helper()
		b, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store(public("ed"), jose.JSONWebKey{Key: []byte("a secret of some length, really!"), KeyID: "oct"})
	c := i.config("local")
	c.OpenIDConfigurationURL, c.JWKSFile, c.Issuers = "", file, []string{"x", i.URL}
	k := &clock{}
	d := open(t, c, k.now)
	verify := func(key, alg string) error {
		_, err := d.VerifyToken(t.Context(), who(""), sign(t, key, alg, i.good(), nil))
		return err
	}
	if err := verify("ed", "EdDSA"); err != nil {
		t.Error(err)
	}
	refused(t, verify("p256", "ES256"))
	store(public("p256"))
	k.advance(fileTTL)
	refused(t, verify("ed", "EdDSA"))
	if err := verify("p256", "ES256"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, c, now).VerifyToken(t.Context(), who(""), sign(t, "ed", "EdDSA", i.good(), nil)); err == nil {
		t.Error("no keys, but a token was right")
	} else {
		outage(t, err)
	}
	if i.count("/keys") != 0 {
		t.Error("the issuer was asked")
	}
}

// What an issuer may get wrong about itself is an outage.
func TestMetadata(t *testing.T) {
	for name, change := range map[string]func(i *issuer){
		"gone":              func(i *issuer) { i.status["/.well-known/openid-configuration"] = 404 },
		"no JSON":           func(i *issuer) { i.answers["/.well-known/openid-configuration"] = "<html>" },
		"of another issuer": func(i *issuer) { i.metadata("issuer", "https://other.example") },
		"no keys":           func(i *issuer) { i.metadata("jwks_uri", "") },
		"keys in the clear": func(i *issuer) { i.metadata("jwks_uri", "http://keys.example/") },
		"keys in a file":    func(i *issuer) { i.metadata("jwks_uri", "file:///etc/passwd") },
		"key set empty":     func(i *issuer) { i.keys = nil },
		"key set weak":      func(i *issuer) { i.keys = []jose.JSONWebKey{public("weak")} },
		"key set no JSON":   func(i *issuer) { i.answers["/keys"] = "keys" },
		"key set too large": func(i *issuer) { i.answers["/keys"] = `{"keys":[],"x":"` + strings.Repeat("x", maxBody) + `"}` },
		"too many keys": func(i *issuer) {
			i.answers["/keys"] = `{"keys":[` + strings.Repeat("{},", maxKeys) + "{}]}"
		},
		"redirected": func(i *issuer) {
			i.handlers["/keys"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			change(i)
			d := open(t, i.config("local"), now)
			_, err := d.VerifyToken(t.Context(), who(""), sign(t, "ed", "EdDSA", i.good(), nil))
			outage(t, err)
			if i.count("/elsewhere") != 0 {
				t.Error("followed a redirect")
			}
		})
	}
	// A named issuer may keep its metadata elsewhere.
	i := newIssuer(t)
	i.metadata("issuer", "https://issuer.example")
	c := i.config("local")
	c.Issuers = []string{"https://issuer.example"}
	if _, err := open(t, c, now).VerifyToken(t.Context(), who(""), sign(t, "ed", "EdDSA", with(i.good(), map[string]any{"iss": "https://issuer.example"}), nil)); err != nil {
		t.Error(err)
	}
}

func (i *issuer) metadata(key string, value any) {
	m, _ := i.answers["/.well-known/openid-configuration"].(map[string]any)
	m[key] = value
}

func TestBelongs(t *testing.T) {
	for _, tc := range []struct {
		at, issuer string
		want       bool
	}{
		{"https://a.example/.well-known/openid-configuration", "https://a.example", true},
		{"https://a.example/.well-known/openid-configuration", "https://a.example/", true},
		{"https://a.example/realms/x/.well-known/openid-configuration", "https://a.example/realms/x", true},
		{"https://a.example/.well-known/oauth-authorization-server/realms/x", "https://a.example/realms/x", true},
		{"https://a.example/.well-known/openid-configuration", "https://b.example", false},
		{"https://a.example/.well-known/openid-configuration", "http://a.example", false},
		{"https://a.example/realms/x/.well-known/openid-configuration", "https://a.example/realms/y", false},
		{"https://a.example/realms/x/.well-known/openid-configuration", "https://a.example", false},
		{"https://a.example/.well-known/openid-configuration", "", false},
	} {
		if got := belongs(tc.at, tc.issuer); got != tc.want {
			t.Errorf("%s of %s: %v", tc.at, tc.issuer, got)
		}
	}
}

// Whatever is taken for a good token says what a good one says, and nothing
// that is no token panics.
func FuzzToken(f *testing.F) {
	keys, err := json.Marshal(map[string]any{"keys": []jose.JSONWebKey{public("p256"), public("rsa"), public("ed")}})
	if err != nil {
		f.Fatal(err)
	}
	file := filepath.Join(f.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		f.Fatal(err)
	}
	c := DefaultConfig()
	c.IntrospectionMode, c.JWKSFile, c.Issuers, c.Audiences = "local", file, []string{"https://issuer.example"}, []string{"mail"}
	d, err := New(c, now)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = d.Close() })
	claims := `{"iss":"https://issuer.example","aud":"mail","email":"alice@example.org","exp":` + strconv.FormatInt(now().Unix()+60, 10) + `}`
	for key, alg := range map[string]string{"p256": "ES256", "rsa": "RS256", "ed": "EdDSA", "other": "ES256"} {
		f.Add(sign(f, key, alg, claims, nil))
	}
	f.Add(join(`{"alg":"none"}`, claims, nil))
	f.Add(join(`{"alg":"HS256","kid":"rsa"}`, claims, []byte("x")))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		a, err := d.VerifyToken(t.Context(), who(""), token)
		if err != nil {
			refused(t, err)
			return
		}
		body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
		if err != nil || string(body) != claims || a.User != "alice@example.org" {
			t.Fatalf("%+v for %s", a, body)
		}
	})
}
