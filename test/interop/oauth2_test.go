//go:build interop

package interop

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/postcote/postcote/test/suite"
)

// issuer is an OpenID provider: metadata, keys, and introspection for opaque
// tokens, which it can also fail to answer.
type issuer struct {
	*httptest.Server
	ca      string
	signer  jose.Signer
	opaque  map[string]string // token to email
	down    atomic.Bool
	queried atomic.Int64
}

func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key := newKey(t)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", "one"))
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{signer: s, opaque: map[string]string{}}
	mux := http.NewServeMux()
	object := func(f func(r *http.Request) any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if i.down.Load() {
				http.Error(w, "down", http.StatusServiceUnavailable)
				return
			}
			_ = json.NewEncoder(w).Encode(f(r))
		}
	}
	mux.Handle("/.well-known/openid-configuration", object(func(*http.Request) any {
		return map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "introspection_endpoint": i.URL + "/introspect"}
	}))
	mux.Handle("/keys", object(func(*http.Request) any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Use: "sig", Algorithm: "ES256"}}}
	}))
	mux.Handle("/introspect", object(func(r *http.Request) any {
		i.queried.Add(1)
		id, secret, _ := r.BasicAuth()
		email := i.opaque[r.PostFormValue("token")]
		return map[string]any{"active": email != "" && id == "mail" && secret == "client-secret", "email": email, "scope": "mail"}
	}))
	i.Server = httptest.NewUnstartedServer(mux)
	ca, _, _ := authority(t, t.TempDir())
	pair, err := tls.LoadX509KeyPair(filepath.Join(filepath.Dir(ca), "server.pem"), filepath.Join(filepath.Dir(ca), "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	i.ca = ca
	i.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	i.StartTLS()
	t.Cleanup(i.Server.Close)
	return i
}

// token signs claims for somebody, which change alters.
func (i *issuer) token(t *testing.T, email string, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": i.URL, "aud": "mail", "email": email, "scope": "mail", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
	}
	for k, v := range change {
		claims[k] = v
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := i.signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// tokenSuite is a suite whose authd takes the issuer's tokens by one mechanism:
// curl chooses by itself where there are two.
func tokenSuite(t *testing.T, mech, section string) *suite.Suite {
	t.Helper()
	return start(t, map[string]func(string) string{"authd": func(text string) string {
		tokens := "  - driver: oauth2\n    mechanisms: [" + mech + "]\n    oauth2: " + section + "\nuserdb:"
		return strings.Replace(text, "userdb:\n", tokens+"\n", 1) +
			"\nlogin: {mechanisms: [PLAIN, LOGIN, " + mech + "], failure_delay: 0s, penalty: false}\n"
	}})
}

// bearer runs curl with a token; the result is its exit status, 67 for a login
// that was denied.
func bearer(s *suite.Suite, user, token, url string, more ...string) (string, int) {
	args := append([]string{"-sS", "-v", "--max-time", "50", "--cacert", s.Path("etc/tls/cert.pem"), "-u", user, "--oauth2-bearer", token, url}, more...)
	out, err := try("", "curl", args...)
	if err == nil {
		return out, 0
	}
	status, _ := strconv.Atoi(strings.TrimPrefix(err.Error(), "exit status "))
	return out, status
}

// Tokens let in by IMAP, POP3 and SMTP, in both mechanisms; others do not.
func TestOAuth2Logins(t *testing.T) {
	need(t, "curl")
	i := startIssuer(t)
	for _, mech := range []string{"OAUTHBEARER", "XOAUTH2"} {
		t.Run(mech, func(t *testing.T) {
			s := tokenSuite(t, mech, fmt.Sprintf(`{introspection_mode: local, openid_configuration_url: "%s/.well-known/openid-configuration", audiences: [mail], scope: mail, ca_file: "%s"}`, i.URL, i.ca))
			tokenLogins(t, s, i)
			log := read(t, s.Procs["authd"].LogFile())
			if strings.Contains(log, i.token(t, s.Accounts[0].Name, nil)[:60]) {
				t.Error("a token is in the log")
			}
			for _, want := range []string{`"mech":"` + mech, "the token expired", "the token is for " + s.Accounts[1].Name, "lacks the scope"} {
				if !strings.Contains(log, want) {
					t.Errorf("the log does not say %q", want)
				}
			}
		})
	}
}

func tokenLogins(t *testing.T, s *suite.Suite, i *issuer) {
	alice, bob := s.Accounts[0].Name, s.Accounts[1].Name
	letter := write(t, filepath.Join(t.TempDir(), "letter"), letter(alice, bob, "by-token"), 0o644)
	good := i.token(t, alice, nil)
	for _, c := range [][]string{
		{"imaps://" + s.Addr(993) + "/INBOX", "-X", "NOOP"},
		{"pop3s://" + s.Addr(995)},
		{"smtps://" + s.Addr(465), "--mail-from", alice, "--mail-rcpt", bob, "-T", letter},
	} {
		if out, status := bearer(s, alice, good, c[0], c[1:]...); status != 0 {
			t.Errorf("%s: %d\n%s", c[0], status, out)
		}
		for name, token := range map[string]string{
			"expired":          i.token(t, alice, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
			"somebody else's":  i.token(t, bob, nil),
			"for another use":  i.token(t, alice, map[string]any{"aud": "wiki"}),
			"without scope":    i.token(t, alice, map[string]any{"scope": "profile"}),
			"another issuer's": i.token(t, alice, map[string]any{"iss": "https://evil.example"}),
			"forged":           good[:len(good)-8] + "AAAAAAAA",
			"none":             "x",
		} {
			if out, status := bearer(s, alice, token, c[0], c[1:]...); status != 67 {
				t.Errorf("%s with a token that is %s: %d\n%s", c[0], name, status, out)
			}
		}
	}
	arrived(t, s, "bob", "by-token")
}

// The issuer is asked about opaque tokens; while it is down nobody is told that
// his token is wrong.
func TestOAuth2Introspection(t *testing.T) {
	need(t, "curl")
	i := startIssuer(t)
	secret := write(t, filepath.Join(t.TempDir(), "secret"), "client-secret\n", 0o644)
	s := tokenSuite(t, "XOAUTH2", fmt.Sprintf(`{introspection_mode: post, openid_configuration_url: "%s/.well-known/openid-configuration", client_id: mail, client_secret_file: "%s", scope: mail, ca_file: "%s"}`, i.URL, secret, i.ca))
	alice := s.Accounts[0]
	i.opaque["opaque-token-of-alice"] = alice.Name
	imap := "imaps://" + s.Addr(993) + "/INBOX"
	if out, status := bearer(s, alice.Name, "opaque-token-of-alice", imap, "-X", "NOOP"); status != 0 || i.queried.Load() != 1 {
		t.Errorf("%d after %d questions\n%s", status, i.queried.Load(), out)
	}
	if out, status := bearer(s, alice.Name, "revoked", imap, "-X", "NOOP"); status != 67 {
		t.Errorf("%d\n%s", status, out)
	}
	// Passwords are not shown to the issuer.
	asked := i.queried.Load()
	if out, err := try("", "curl", "-sS", "--cacert", s.Path("etc/tls/cert.pem"), "-u", alice.Name+":"+alice.Password, imap, "-X", "NOOP"); err != nil {
		t.Error(out)
	}
	_, _ = try("", "curl", "-sS", "--cacert", s.Path("etc/tls/cert.pem"), "-u", alice.Name+":wrong", imap, "-X", "NOOP")
	if i.queried.Load() != asked {
		t.Error("the issuer was asked about a password")
	}
	i.down.Store(true)
	out, status := bearer(s, alice.Name, "opaque-token-of-alice", imap, "-X", "NOOP")
	if status == 0 || !strings.Contains(out, "[UNAVAILABLE]") || strings.Contains(out, "AUTHENTICATIONFAILED") {
		t.Errorf("%d\n%s", status, out)
	}
	out, status = bearer(s, alice.Name, "opaque-token-of-alice", "smtps://"+s.Addr(465), "--mail-from", alice.Name, "--mail-rcpt", alice.Name, "-T", "/dev/null")
	if status == 0 || !strings.Contains(out, "454 4.") || strings.Contains(out, "< 535") {
		t.Errorf("%d\n%s", status, out)
	}
	i.down.Store(false)
	if out, status := bearer(s, alice.Name, "opaque-token-of-alice", imap, "-X", "NOOP"); status != 0 {
		t.Errorf("%d\n%s", status, out)
	}
}
