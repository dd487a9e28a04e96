package oauth2

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const opaque = "ya29.a0Af-token~with+all/kinds=="

// answer is what an introspection endpoint says of a good token.
func answer(change map[string]any) map[string]any {
	return with(map[string]any{"active": true, "email": "alice@example.org", "scope": "mail", "exp": now().Add(time.Minute).Unix()}, change)
}

// How each mode asks.
func TestModes(t *testing.T) {
	i := newIssuer(t)
	i.answers["/introspect"], i.answers["/info"] = answer(nil), map[string]any{"scope": "mail"}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3:cr&t\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		edit func(c *Config)
		want func(r *http.Request) bool
		info int // questions to tokeninfo
	}{
		{
			name: "auth",
			edit: func(c *Config) { c.IntrospectionURL = i.URL + "/introspect" },
			want: func(r *http.Request) bool {
				return r.Method == "GET" && r.Header.Get("Authorization") == "Bearer "+opaque
			},
		},
		{
			name: "get",
			edit: func(c *Config) { c.IntrospectionMode, c.IntrospectionURL = "get", i.URL+"/introspect?t=" },
			want: func(r *http.Request) bool {
				return r.Method == "GET" && r.Form.Get("t") == opaque && r.Header.Get("Authorization") == ""
			},
		},
		{
			name: "post",
			edit: func(c *Config) { c.IntrospectionMode, c.IntrospectionURL = "post", i.URL+"/introspect" },
			want: func(r *http.Request) bool {
				return r.Method == "POST" && r.PostForm.Get("token") == opaque && r.Header.Get("Authorization") == ""
			},
		},
		{
			name: "post with credentials, endpoint from the metadata",
			edit: func(c *Config) {
				c.IntrospectionMode, c.OpenIDConfigurationURL = "post", i.URL+"/.well-known/openid-configuration"
				c.ClientID, c.ClientSecretFile = "mail server", conf.SecretFile(secret)
			},
			want: func(r *http.Request) bool {
				id, password, ok := r.BasicAuth()
				return ok && id == "mail+server" && password == "s3%3Acr%26t" && r.PostForm.Get("token") == opaque
			},
		},
		{
			name: "post with credentials in the form",
			edit: func(c *Config) {
				c.IntrospectionMode, c.IntrospectionURL, c.ClientAuth = "post", i.URL+"/introspect", "post"
				c.ClientID, c.ClientSecretFile = "mail", conf.SecretFile(secret)
			},
			want: func(r *http.Request) bool {
				return r.Header.Get("Authorization") == "" && r.PostForm.Get("client_id") == "mail" && r.PostForm.Get("client_secret") == "s3:cr&t"
			},
		},
		{
			name: "tokeninfo, and introspection because it names nobody",
			edit: func(c *Config) {
				c.TokeninfoURL, c.IntrospectionURL = i.URL+"/info?access_token=", i.URL+"/introspect"
			},
			want: func(r *http.Request) bool { return r.URL.Path == "/introspect" },
			info: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := i.config("auth")
			c.Scope = "mail"
			tc.edit(&c)
			before := i.count("/info")
			a, err := open(t, c, now).VerifyToken(t.Context(), who("alice@example.org"), opaque)
			if err != nil || a.User != "alice@example.org" {
				t.Fatal(a, err)
			}
			if !tc.want(i.last) || i.count("/info")-before != tc.info {
				t.Errorf("%s %s %v %v", i.last.Method, i.last.URL, i.last.Header, i.last.Form)
			}
		})
	}
}

func TestTokeninfo(t *testing.T) {
	i := newIssuer(t)
	i.answers["/info"] = map[string]any{"email": "alice@example.org", "exp": "1800000000", "aud": "app", "email_verified": "true"}
	i.answers["/introspect"] = answer(map[string]any{"email": "other@example.org"})
	c := i.config("auth")
	c.TokeninfoURL, c.IntrospectionURL, c.Audiences = i.URL+"/info?access_token=", i.URL+"/introspect", []string{"app"}
	a, err := open(t, c, now).VerifyToken(t.Context(), who(""), opaque)
	if err != nil || a.User != "alice@example.org" || i.count("/introspect") != 0 || i.last.Form.Get("access_token") != opaque {
		t.Error(a, err)
	}
	c.ForceIntrospection = true
	if a, err := open(t, c, now).VerifyToken(t.Context(), who(""), opaque); err != nil || a.User != "other@example.org" || i.count("/introspect") != 1 {
		t.Error(a, err)
	}
	i.set(func() { i.status["/info"] = 400 }) // Google's answer to a token that expired
	_, err = open(t, c, now).VerifyToken(t.Context(), who(""), opaque)
	refused(t, err)
}

// What a server may say, and what we make of it.
func TestAnswers(t *testing.T) {
	large := `{"active":true,"email":"alice@example.org","x":"` + strings.Repeat("x", maxBody) + `"}`
	for _, tc := range []struct {
		name   string
		mode   string
		status int
		answer any
		edit   func(c *Config)
		kind   fail.Kind // Unavailable, Denied; 0: success
	}{
		{name: "good", mode: "post", answer: answer(nil)},
		{name: "good, without times", mode: "post", answer: answer(map[string]any{"exp": nil})},
		{name: "inactive", mode: "post", answer: map[string]any{"active": false}, kind: fail.Denied},
		{name: "inactive, but with a name", mode: "post", answer: answer(map[string]any{"active": false}), kind: fail.Denied},
		{name: "inactive as text", mode: "get", answer: answer(map[string]any{"active": "false"}), kind: fail.Denied},
		{name: "activity is an object", mode: "get", answer: answer(map[string]any{"active": map[string]any{}}), kind: fail.Denied},
		{name: "does not say whether active", mode: "post", answer: answer(map[string]any{"active": nil}), kind: fail.Unavailable},
		{name: "a userinfo endpoint does not", mode: "auth", answer: answer(map[string]any{"active": nil})},
		{
			name: "says it with another claim", mode: "post", answer: answer(map[string]any{"active": nil, "state": "ok"}),
			edit: func(c *Config) { c.ActiveAttribute = "state" },
		},
		{
			name: "says no with another claim", mode: "post", answer: answer(map[string]any{"state": 0}), kind: fail.Denied,
			edit: func(c *Config) { c.ActiveAttribute, c.ActiveValue = "state", "1" },
		},
		{name: "expired", mode: "post", answer: answer(map[string]any{"exp": now().Add(-time.Hour).Unix()}), kind: fail.Denied},
		{name: "expired as text", mode: "get", answer: answer(map[string]any{"exp": "1"}), kind: fail.Denied},
		{name: "another issuer", mode: "post", answer: answer(map[string]any{"iss": "b"}), kind: fail.Denied, edit: func(c *Config) { c.Issuers = []string{"a"} }},
		{name: "no issuer", mode: "post", answer: answer(nil), kind: fail.Denied, edit: func(c *Config) { c.Issuers = []string{"a"} }},
		{name: "another audience", mode: "post", answer: answer(map[string]any{"aud": "b"}), kind: fail.Denied, edit: func(c *Config) { c.Audiences = []string{"a"} }},
		{name: "wrong scope", mode: "post", answer: answer(nil), kind: fail.Denied, edit: func(c *Config) { c.Scope = "imap" }},
		{name: "scopes as a list", mode: "post", answer: answer(map[string]any{"scope": nil, "scp": []string{"imap"}}), edit: func(c *Config) { c.Scope = "imap" }},
		{name: "another user", mode: "post", answer: answer(map[string]any{"email": "bob@example.org"}), kind: fail.Denied},
		{name: "names nobody", mode: "auth", answer: map[string]any{"sub": "1"}, kind: fail.Denied},
		{name: "401 to the token", mode: "auth", status: 401, kind: fail.Denied},
		{name: "403 to the token", mode: "auth", status: 403, kind: fail.Denied},
		{name: "400 to the token", mode: "get", status: 400, kind: fail.Denied},
		{name: "401 to us", mode: "post", status: 401, kind: fail.Unavailable},
		{name: "401 to us in get", mode: "get", status: 401, kind: fail.Unavailable, edit: func(c *Config) { c.ClientID = "mail" }},
		{name: "404", mode: "auth", status: 404, kind: fail.Unavailable},
		{name: "429", mode: "auth", status: 429, kind: fail.Unavailable},
		{name: "500", mode: "post", status: 500, answer: answer(nil), kind: fail.Unavailable},
		{name: "503", mode: "auth", status: 503, kind: fail.Unavailable},
		{name: "no content", mode: "post", status: 204, kind: fail.Unavailable},
		{name: "empty", mode: "post", answer: "", kind: fail.Unavailable},
		{name: "a page", mode: "post", answer: "<html>down for maintenance</html>", kind: fail.Unavailable},
		{name: "a list", mode: "post", answer: "[true]", kind: fail.Unavailable},
		{name: "null", mode: "post", answer: "null", kind: fail.Unavailable},
		{name: "cut", mode: "post", answer: `{"active":tr`, kind: fail.Unavailable},
		{name: "two objects", mode: "post", answer: `{"active":true,"email":"alice@example.org"}{}`, kind: fail.Unavailable},
		{name: "nested beyond reason", mode: "post", answer: strings.Repeat(`{"a":`, 20000), kind: fail.Unavailable},
		{name: "huge", mode: "post", answer: large, kind: fail.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t)
			i.answers["/introspect"] = tc.answer
			if tc.status != 0 {
				i.status["/introspect"] = tc.status
			}
			c := i.config(tc.mode)
			c.IntrospectionURL = i.URL + "/introspect"
			if tc.mode == "get" {
				c.IntrospectionURL += "?token="
			}
			if tc.edit != nil {
				tc.edit(&c)
			}
			a, err := open(t, c, now).VerifyToken(t.Context(), who("alice@example.org"), opaque)
			switch {
			case tc.kind == fail.Denied:
				refused(t, err)
			case tc.kind == fail.Unavailable:
				outage(t, err)
			case err != nil || a.User != "alice@example.org":
				t.Error(a, err)
			}
			if err != nil && strings.Contains(err.Error(), "ya29") {
				t.Error("the token is in the error:", err)
			}
		})
	}
}

// A redirect could take the token elsewhere.
func TestRedirects(t *testing.T) {
	i := newIssuer(t)
	i.answers["/elsewhere"] = answer(nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		i.set(func() {
			i.handlers["/introspect"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", status) }
		})
		for _, mode := range []string{"auth", "get", "post"} {
			c := i.config(mode)
			c.IntrospectionURL = i.URL + "/introspect?token="
			_, err := open(t, c, now).VerifyToken(t.Context(), who(""), opaque)
			outage(t, err)
		}
	}
	if i.count("/elsewhere") != 0 {
		t.Error("followed")
	}
}

// A server that hangs is an outage within the time, and does not hold up more
// requests than max_parallel_connections.
func TestHangs(t *testing.T) {
	i := newIssuer(t)
	entered, release := make(chan struct{}, 100), make(chan struct{})
	i.handlers["/introspect"] = func(w http.ResponseWriter, _ *http.Request) {
		entered <- struct{}{}
		<-release
	}
	defer close(release)
	c := i.config("post")
	c.IntrospectionURL, c.Timeout, c.MaxParallel = i.URL+"/introspect", conf.Duration(500*time.Millisecond), 2
	d := open(t, c, now)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() {
			_, err := d.VerifyToken(t.Context(), who(""), opaque)
			outage(t, err)
		})
	}
	all.Wait()
	if n := len(entered); n > 2+2 {
		t.Errorf("%d requests were under way", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.VerifyToken(ctx, who(""), opaque); err == nil || strings.Contains(err.Error(), "ya29") {
		t.Error(err)
	}
}

func TestServerMustProveItsName(t *testing.T) {
	i := newIssuer(t)
	i.answers["/introspect"] = answer(nil)
	c := i.config("auth")
	c.IntrospectionURL, c.CAFile = i.URL+"/introspect", ""
	_, err := open(t, c, now).VerifyToken(t.Context(), who(""), opaque)
	outage(t, err)
	if i.count("/introspect") != 0 {
		t.Error("the token was sent")
	}
	c.CAFile = "/nonexistent"
	if _, err := New(c, now); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// A token that is a part of the URL is in no error about the URL.
func TestServerIsDown(t *testing.T) {
	i := newIssuer(t)
	i.Server.Close()
	for _, mode := range []string{"auth", "get", "post"} {
		c := i.config(mode)
		c.IntrospectionURL = i.URL + "/introspect?token="
		_, err := open(t, c, now).VerifyToken(t.Context(), who(""), opaque)
		outage(t, err)
		if err != nil && strings.Contains(err.Error(), "ya29") {
			t.Error(err)
		}
	}
}

func TestPasswordIsToken(t *testing.T) {
	i := newIssuer(t)
	c := i.config("local")
	c.PasswordIsToken = true
	v, ok := open(t, c, now).(passdb.Verifier)
	if !ok {
		t.Fatal("it checks no passwords")
	}
	if a, err := v.Verify(t.Context(), who("alice@example.org"), sign(t, "ed", "EdDSA", i.good(), nil)); err != nil || a.User != "alice@example.org" {
		t.Error(a, err)
	}
	for _, password := range []string{"", "hunter2", "pass word", "a.b.c"} {
		_, err := v.Verify(t.Context(), who("alice@example.org"), password)
		refused(t, err)
	}
}

func TestConfigMistakes(t *testing.T) {
	type file struct {
		OAuth2 Config `yaml:"oauth2" doc:"The section."`
	}
	for text, want := range map[string]string{
		"":                                "",
		"{introspection_url: https://x/}": "",
		"{introspection_url: http://x/}":  "in the clear",
		"{introspection_url: http://x/, allow_cleartext: true}":                                              "",
		"{introspection_url: http://localhost/}":                                                             "",
		"{introspection_url: ftp://x/}":                                                                      "not a https URL",
		"{introspection_url: x}":                                                                             "is no URL",
		"{introspection_url: 'https://u:p@x/'}":                                                              "user name in it",
		"{scope: mail}":                                                                                      "nobody to ask",
		"{introspection_mode: post, openid_configuration_url: https://x/}":                                   "",
		"{introspection_mode: auth, openid_configuration_url: https://x/}":                                   "nobody to ask",
		"{introspection_mode: auth, introspection_url: https://x, jwks_file: /x}":                            "local only",
		"{introspection_url: https://x, client_auth: post}":                                                  "post needs",
		"{tokeninfo_url: https://x, force_introspection: true}":                                              "it needs introspection_url",
		"{introspection_url: https://x, client_secret_file: /x}":                                             "needs it",
		"{introspection_url: https://x, active_value: x}":                                                    "needs it",
		"{introspection_url: https://x, username_format: x}":                                                 "does not make a name",
		"{introspection_url: https://x, username_format: '%{nothing}'}":                                      "does not make a name",
		"{introspection_url: https://x, pass_attrs: {user: x}}":                                              "cannot be set here",
		"{introspection_url: https://x, pass_attrs: {a: '%{nothing}'}}":                                      "no variable",
		"{introspection_url: https://x, pass_attrs: {a: '%{oauth2:anything}'}}":                              "",
		"{introspection_mode: local}":                                                                        "needs one of",
		"{introspection_mode: local, jwks_file: /x, issuers: [a]}":                                           "local needs one",
		"{introspection_mode: local, jwks_file: /x, audiences: [a]}":                                         "issuers",
		"{introspection_mode: local, jwks_file: /x, issuers: [a], audiences: [b]}":                           "",
		"{introspection_mode: local, jwks_url: https://x, issuers: [a], client_id: b}":                       "",
		"{introspection_mode: local, openid_configuration_url: https://x, audiences: [b]}":                   "",
		"{introspection_mode: local, jwks_file: /x, jwks_url: https://x, audiences: [b]}":                    "not 2",
		"{introspection_mode: local, jwks_file: /x, issuers: [a], audiences: [b], algorithms: [HS256]}":      "not supported",
		"{introspection_mode: local, jwks_file: /x, issuers: [a], audiences: [b], algorithms: [none]}":       "not supported",
		"{introspection_mode: local, jwks_file: /x, issuers: [a], audiences: [b], algorithms: []}":           "there is none",
		"{introspection_mode: local, jwks_file: /x, issuers: [a], audiences: [b], tokeninfo_url: https://x}": "asks nobody",
	} {
		f := file{OAuth2: DefaultConfig()}
		doc := ""
		if text != "" {
			doc = "oauth2: " + text
		}
		err := conf.Parse("x", []byte(doc), &f)
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
