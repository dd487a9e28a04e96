package suite

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// move turns an installed path into the suite's.
func (s *Suite) move(text string) string {
	return strings.NewReplacer(
		"/run/postcote-", s.Dir+"/run/",
		"/var/lib/postcote/", s.Dir+"/lib/",
		"/var/mail/postcote", s.Dir+"/mail",
		"/var/spool/postcote", s.Dir+"/spool",
		"/etc/postcote/", s.Dir+"/etc/",
	).Replace(text)
}

// folders of a suite: path, mode, owner, group (as tmpfiles.d and the units
// make them on an installed system).
func (s *Suite) folders() [][4]string {
	return [][4]string{
		{"etc", "0755", "root", "root"},
		{"etc/tls", "0750", "root", "postcote-tls"},
		{"log", "0755", "root", "root"},
		{"run", "0755", "root", "root"},
		{"run/authd", "2755", "authd", "postcote-admin"},
		{"run/deliverd", "2755", "deliverd", "postcote-admin"},
		{"run/imapd", "2755", "imapd", "postcote-admin"},
		{"run/imapd-login", "2755", "imapd-login", "postcote-admin"},
		{"run/mtad", "2755", "mtad", "postcote-admin"},
		{"lib", "0755", "root", "root"},
		{"lib/authd", "0700", "authd", "authd"},
		{"lib/imapd", "0700", "imapd", "imapd"},
		{"lib/mtad", "0700", "mtad", "mtad"},
		{"mail", "2770", "deliverd", "vmail"},
		{"spool", "0755", "root", "root"},
		{"spool/drop", "3777", "mtad", "mtad"},
	}
}

func (s *Suite) makeFolders() error {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	for _, f := range s.folders() {
		path := s.Path(f[0])
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := s.chown(path, f[2], f[3]); err != nil {
			return err
		}
		mode := os.FileMode(0)
		if _, err := fmt.Sscanf(f[1][1:], "%o", &mode); err != nil {
			return err
		}
		if f[1][0] != '0' {
			mode |= os.ModeSetgid
		}
		if f[1][0] == '3' {
			mode |= os.ModeSticky
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}

func (s *Suite) chown(path, owner, group string) error {
	if !s.AsUsers {
		return nil
	}
	uid, gid, err := ids(owner, group)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// makeCertificate leaves a key pair for the demo host, kept between runs.
func (s *Suite) makeCertificate() error {
	cert, key := s.Path("etc/tls/cert.pem"), s.Path("etc/tls/key.pem")
	if _, err := os.Stat(cert); err != nil {
		c, k, err := tlsx.SelfSigned([]string{"mail." + Domain, "localhost", "127.0.0.1"}, time.Now(), 365*24*time.Hour)
		if err != nil {
			return err
		}
		if err := os.WriteFile(key, k, 0o640); err != nil {
			return err
		}
		if err := os.WriteFile(cert, c, 0o644); err != nil {
			return err
		}
	}
	return s.chown(key, "root", "postcote-tls")
}

// allowList names the users that may connect to a socket.
var allowList = regexp.MustCompile(`allow: *\[[^\]]*\]`)

// personal admits the one who started the suite where a configuration admits
// the daemons' users, unless each process runs under its own.
func (s *Suite) personal(text string) string {
	if s.AsUsers {
		return text
	}
	return allowList.ReplaceAllString(text, fmt.Sprintf("allow: [%q]", strconv.Itoa(os.Getuid())))
}

func (s *Suite) writeConfigs() error {
	for _, name := range Names {
		text, err := os.ReadFile(filepath.Join(s.Repo, "deploy/config", name+".yaml"))
		if err != nil {
			return err
		}
		out := s.personal(s.move(strings.NewReplacer("mail.example.org", "mail."+Domain, "example.org", Domain).Replace(string(text))))
		if !strings.Contains(out, "\ncontrol:") {
			out += fmt.Sprintf("\ncontrol:\n  listen: \"unix:%s/control\"\n", s.Path("run", name))
		}
		if edit := s.Edit[name]; edit != nil {
			out = edit(out)
		}
		if err := os.WriteFile(s.Path("etc", name+".yaml"), []byte(out), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeAccounts adds the accounts through authd's own command and keeps their
// passwords in DIR/etc/accounts, so that a second start prints the same.
func (s *Suite) makeAccounts() error {
	file := s.Path("etc/accounts")
	known := map[string]string{}
	if text, err := os.ReadFile(file); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, pw, ok := strings.Cut(line, " "); ok {
				known[name] = pw
			}
		}
	}
	var out strings.Builder
	for _, local := range s.Options.Accounts {
		name := local + "@" + Domain
		pw, ok := known[name]
		if !ok {
			pw = secret()
			if err := s.addUser(name, pw); err != nil {
				return err
			}
		}
		s.Accounts = append(s.Accounts, Account{Name: name, Password: pw})
		fmt.Fprintf(&out, "%s %s\n", name, pw)
	}
	return os.WriteFile(file, []byte(out.String()), 0o600)
}

func (s *Suite) addUser(name, password string) error {
	cmd := exec.Command(filepath.Join(s.Bin, "authd"), "user", "add", "-c", s.Path("etc/authd.yaml"), "--store", s.Path("lib/authd/users.sqlite"), name)
	cmd.Stdin = strings.NewReader(password + "\n")
	cmd.Env = append(os.Environ(), "POSTCOTE_ALLOW_ROOT=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("authd user add %s: %w: %s", name, err, out)
	}
	return filepath.Walk(s.Path("lib/authd"), func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return s.chown(path, "authd", "authd")
	})
}

func secret() string {
	var b [10]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // the test machine has no randomness: nothing sensible is left to do
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}
