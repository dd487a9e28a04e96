package authcmd

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver/authtest"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// Every mechanism can be tried from the command line.
func TestTestCommand(t *testing.T) {
	dir := t.TempDir()
	s := &authtest.Service{Passwords: map[string]string{"alice": "secret"}}
	s.Listen(t, dir, authserver.Client24)
	try := func(mech, name, password string) (string, error) {
		cmd := testCommand()
		var out strings.Builder
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetIn(strings.NewReader(password + "\n"))
		cmd.SetArgs([]string{name, "--mech", mech, "--socket", filepath.Join(dir, "client-2.4")})
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	for _, m := range sasl.Mechanisms() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			want := "alice"
			if m.Anonymous {
				want = authtest.Guest
			}
			if out, err := try(strings.ToLower(m.Name), "alice", "secret"); err != nil || out != "ok\n  user="+want+"\n" {
				t.Errorf("right: %q, %v", out, err)
			}
			if m.Anonymous {
				return
			}
			name, password := "alice", "wrong"
			if m.Certificate {
				name = "mallory"
			}
			if out, err := try(m.Name, name, password); err == nil || !strings.Contains(err.Error(), "authentication failed") {
				t.Errorf("wrong: %q, %v", out, err)
			}
		})
	}
	if _, err := try("NTLM", "alice", "secret"); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Error(err)
	}
}
