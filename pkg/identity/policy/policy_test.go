package policy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// seen is what a policy server got.
type seen struct {
	command, header string
	body            map[string]any
}

// serve runs a policy server that answers each request with answer and hands
// on what it got.
func serve(t *testing.T, answer string) (url string, got chan seen) {
	t.Helper()
	got = make(chan seen, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		v := seen{command: r.URL.Query().Get("command"), header: r.Header.Get("Authorization")}
		_ = json.Unmarshal(text, &v.body)
		got <- v
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func newClient(t *testing.T, url string, edit func(*Config)) *Client {
	t.Helper()
	c := DefaultConfig()
	c.ServerURL, c.HashNonce, c.APIHeaderKey = url, secret(t, "nonce"), secret(t, "Authorization: Basic abc")
	c.Timeout = conf.Duration(5 * time.Second)
	if edit != nil {
		edit(&c)
	}
	cl, err := New(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func secret(t *testing.T, text string) conf.SecretFile {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return conf.SecretFile(file)
}

var alice = &request.Request{
	User: "alice@example.org", Service: "imap", Session: "s1", ClientID: `"name" "x"`, TLS: "TLSv1.3",
	Remote: netip.MustParseAddrPort("192.0.2.1:4"),
}

func TestWhatTheServerLearns(t *testing.T) {
	url, got := serve(t, `{"status":0}`)
	c := newClient(t, url+"/?x=1", nil)
	if v, err := c.After(t.Context(), alice, "secret"); err != nil || v.Reject || v.Tarpit != 0 {
		t.Errorf("%+v %v", v, err)
	}
	q := <-got
	for key, want := range map[string]any{
		"login": "alice@example.org", "remote": "192.0.2.1", "protocol": "imap", "session_id": "s1", "device_id": `"name" "x"`,
		"success": true, "tls": true,
	} {
		if q.body[key] != want {
			t.Errorf("%s: %v, want %v", key, q.body[key], want)
		}
	}
	if q.command != "allow" || q.header != "Basic abc" || len(q.body["pwhash"].(string)) != 4 {
		t.Errorf("%+v", q)
	}
	c.Report(alice, "secret", Outcome{Success: false, PolicyReject: true})
	if q = <-got; q.command != "report" || q.body["success"] != false || q.body["policy_reject"] != true {
		t.Errorf("%+v", q)
	}
}

func TestVerdicts(t *testing.T) {
	for answer, want := range map[string]Verdict{
		`{"status":0,"msg":""}`:           {},
		`{"status":-1,"msg":"blacklist"}`: {Reject: true, Text: "blacklist"},
		`{"status":3,"msg":"slow"}`:       {Tarpit: 3 * time.Second, Text: "slow"},
		`{"status":99999999}`:             {Tarpit: maxTarpit},
		// Not understood: the login goes on.
		`{}`: {}, `nonsense`: {}, `{"status":"x"}`: {},
	} {
		url, _ := serve(t, answer)
		if v, err := newClient(t, url, nil).Before(t.Context(), alice, "x"); err != nil || v != want {
			t.Errorf("%s: %+v %v", answer, v, err)
		}
	}
	url, _ := serve(t, `{"status":-1}`)
	c := newClient(t, url, func(c *Config) { c.LogOnly = true })
	if v, err := c.Before(t.Context(), alice, "x"); err != nil || v.Reject {
		t.Errorf("%+v %v", v, err)
	}
}

func TestServerDown(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer s.Close()
	defer close(hang)
	quick := func(c *Config) { c.Timeout = conf.Duration(20 * time.Millisecond) }
	if v, err := newClient(t, s.URL, quick).Before(t.Context(), alice, "x"); err != nil || v.Reject {
		t.Errorf("%+v %v", v, err)
	}
	strict := func(c *Config) { quick(c); c.RejectOnFail = true }
	if _, err := newClient(t, s.URL, strict).Before(t.Context(), alice, "x"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	// Reports do not pile up.
	c := newClient(t, s.URL, func(c *Config) { c.Timeout = conf.Duration(time.Minute) })
	for range maxReports + 10 {
		c.Report(alice, "x", Outcome{})
	}
	if n := len(c.reports); n > maxReports {
		t.Errorf("%d reports under way", n)
	}
}

func TestTruncate(t *testing.T) {
	sum := []byte{0xab, 0xcd, 0xef}
	for bits, want := range map[int]string{8: "\xab", 12: "\x0a\xbc", 16: "\xab\xcd", 1: "\x01", 9: "\x01\x57", 20: "\x0a\xbc\xde"} {
		if got := string(truncate(sum, bits)); got != want {
			t.Errorf("%d bits: %x, want %x", bits, got, want)
		}
	}
	if digest("sha256", "n", "u", "a", 12) == digest("sha256", "n", "u", "b", 12) || len(digest("sha1", "n", "u", "a", 64)) != 16 {
		t.Error("digests")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"status":-1,"msg":"x"}`)
	f.Add(`{"status":1e99}`)
	f.Add(strings.Repeat("[", 1000))
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parse([]byte(s)) })
}
