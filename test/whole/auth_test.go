package whole

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/test/suite"
)

// With the shipped sockets, a client of mtad that has TLS can bind its login to
// the channel, once authd is told to offer such a mechanism and to store
// passwords that serve it.
func TestSMTPChannelBinding(t *testing.T) {
	const plus = "SCRAM-SHA-256-PLUS"
	s := start(t, suite.Options{Edit: map[string]func(string) string{"authd": func(c string) string {
		return c + "\npasswords: {scheme: SCRAM-SHA-256}\nlogin: {mechanisms: [PLAIN, SCRAM-SHA-256, " + plus + "], failure_delay: 0s}\n"
	}}})
	login := func(password string, binder func(*smtp.Client) sasl.Binder) error {
		c, err := smtp.DialStartTLS(s.Addr(587), trust(t, s))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if !c.SupportsAuth(plus) {
			t.Fatalf("%s is not offered", plus)
		}
		m, err := sasl.NewClient(plus, sasl.Credentials{Authcid: s.Accounts[0].Name, Password: password, Binder: binder(c)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(m); err != nil {
			return err
		}
		return sasl.Complete(m)
	}
	own := func(c *smtp.Client) sasl.Binder {
		state, _ := c.TLSConnectionState()
		return tlsx.ClientBinding(state)
	}
	if err := login(s.Accounts[0].Password, own); err != nil {
		t.Error(err)
	}
	if login("wrong", own) == nil {
		t.Error("a wrong password was taken")
	}
	// What somebody between us would do: the right password, over another channel.
	other, err := smtp.DialStartTLS(s.Addr(587), trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if login(s.Accounts[0].Password, func(*smtp.Client) sasl.Binder { return own(other) }) == nil {
		t.Error("a login that is bound to another channel was taken")
	}
}

// What a mail program says of itself before the login (IMAP's ID) is known to
// authd's variables and to the policy server.
func TestClientID(t *testing.T) {
	const program = `"name" "Mail" "version" "1.0"`
	var mu sync.Mutex
	told := map[string]bool{}
	policy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			DeviceID string `json:"device_id"`
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		mu.Lock()
		defer mu.Unlock()
		told[q.DeviceID] = true
		fmt.Fprint(w, `{"status": 0, "msg": ""}`)
	}))
	defer policy.Close()
	nonce := filepath.Join(t.TempDir(), "nonce")
	if err := os.WriteFile(nonce, []byte("a secret of some length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, suite.Options{Edit: map[string]func(string) string{"authd": func(c string) string {
		return strings.Replace(c, "  - driver: local\n", "  - driver: local\n    override_fields: {event_program: \"%{client_id}\"}\n", 1) +
			fmt.Sprintf("\npolicy: {server_url: %q, hash_nonce_file: %q}\nlog: {level: debug}\n", policy.URL+"/", nonce)
	}}})
	c, err := tls.Dial("tcp", s.Addr(993), trust(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "a ID (%s)\r\nb LOGIN %s %s\r\nc LOGOUT\r\n", program, s.Accounts[0].Name, s.Accounts[0].Password)
	if answer, _ := io.ReadAll(c); !strings.Contains(string(answer), "\nb OK ") {
		t.Fatalf("%s", answer)
	}
	if want := fmt.Sprintf(`"event_program":%q`, program); !strings.Contains(mustRead(t, s.Procs["authd"].LogFile()), want) {
		t.Errorf("authd's log does not say %s", want)
	}
	mu.Lock()
	defer mu.Unlock()
	if !told[program] {
		t.Errorf("the policy server was told of %v", told)
	}
}
