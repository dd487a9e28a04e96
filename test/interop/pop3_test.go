//go:build interop

package interop

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// switchboard is one address behind which servers are exchanged, because
// clients know a server by its name and port.
type switchboard struct {
	port int
	to   atomic.Int64 // port of the server that serves now
}

func newSwitchboard(t *testing.T) *switchboard {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	b := &switchboard{port: l.Addr().(*net.TCPAddr).Port}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go b.connect(client)
		}
	}()
	return b
}

func (b *switchboard) connect(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.to.Load()))
	if err != nil {
		return
	}
	defer server.Close()
	go func() { _, _ = io.Copy(server, client); _ = server.(*net.TCPConn).CloseWrite() }()
	_, _ = io.Copy(client, server)
}

// poplib prints a line for each message: number, unique id, size, and a digest
// of what RETR gives.
const poplib = `
import hashlib, poplib, sys
p = poplib.POP3(sys.argv[1], int(sys.argv[2]))
p.user(sys.argv[3]); p.pass_(sys.argv[4])
print(p.stat())
sizes = dict(l.decode().split() for l in p.list()[1])
for line in p.uidl()[1]:
    n, uid = line.decode().split()
    print(n, uid, sizes[n], hashlib.sha256(b"\\n".join(p.retr(int(n))[1])).hexdigest(), len(p.top(int(n), 0)[1]))
p.quit()
`

func listing(t *testing.T, a suite.Account, port int) string {
	t.Helper()
	script := write(t, filepath.Join(t.TempDir(), "list.py"), poplib, 0o644)
	return run(t, "", "python3", script, "127.0.0.1", fmt.Sprint(port), a.Name, a.Password)
}

// collectors are programs that fetch what they do not have yet and leave the
// mail on the server. Each returns how many messages it has in all.
func collectors(t *testing.T, a suite.Account, port int) map[string]func(t *testing.T) int {
	dir := filepath.Dir(t.TempDir()) // which is for its owner alone
	run(t, "", "chmod", "755", dir)
	for _, d := range []string{"getmail/new", "getmail/cur", "getmail/tmp", "mpop/new", "mpop/cur", "mpop/tmp", "fetchmail"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// getmail delivers nothing as root.
	run(t, "", "chown", "-R", "nobody", filepath.Join(dir, "getmail"))
	fetchmailrc := write(t, filepath.Join(dir, "fetchmailrc"), fmt.Sprintf(`set idfile "%[1]s/ids"
poll 127.0.0.1 protocol pop3 port %[2]d uidl auth password
  user "%[3]s" password "%[4]s" keep sslproto "" mda "cat > %[1]s/fetchmail/$$; true"
`, dir, port, a.Name, a.Password), 0o600)
	getmailrc := write(t, filepath.Join(dir, "getmailrc"), fmt.Sprintf(`[retriever]
type = SimplePOP3Retriever
server = 127.0.0.1
port = %[2]d
username = %[3]s
password = %[4]s
[destination]
type = Maildir
path = %[1]s/getmail/
user = nobody
[options]
read_all = false
delete = false
verbose = 0
`, dir, port, a.Name, a.Password), 0o600)
	mpoprc := write(t, filepath.Join(dir, "mpoprc"), fmt.Sprintf(`account a
host 127.0.0.1
port %[2]d
user %[3]s
passwordeval echo %[4]s
auth user
tls off
keep on
delivery maildir %[1]s/mpop
uidls_file %[1]s/mpop-uidls
`, dir, port, a.Name, a.Password), 0o600)
	count := func(pattern string) int {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		return len(files)
	}
	return map[string]func(t *testing.T) int{
		"fetchmail": func(t *testing.T) int {
			// 1: there was no new mail
			if out, err := try("", "fetchmail", "--nodetach", "-f", fetchmailrc); err != nil && !strings.Contains(err.Error(), "exit status 1") {
				t.Fatalf("fetchmail: %v\n%s", err, out)
			}
			return count("fetchmail/*")
		},
		"getmail": func(t *testing.T) int {
			run(t, "", "getmail", "--getmaildir", dir, "--rcfile", getmailrc)
			return count("getmail/new/*")
		},
		"mpop": func(t *testing.T) int {
			run(t, "", "mpop", "-C", mpoprc, "-Q", "a")
			return count("mpop/new/*")
		},
	}
}

// A site goes from Dovecot's POP3 to imapd's and back: unique ids, sizes and
// contents are the same, and no client downloads anything twice.
func TestPOP3ClientsNoticeNoSwitch(t *testing.T) {
	need(t, "dovecot", "doveadm", "curl", "fetchmail", "getmail", "mpop", "python3")
	s := start(t, nil)
	fill(t, s, 4)
	a := s.Accounts[0]
	board := newSwitchboard(t)
	programs := collectors(t, a, board.port)
	all := func(stage string, want int) {
		t.Helper()
		for name, collect := range programs {
			if got := collect(t); got != want {
				t.Errorf("%s: %s has %d messages, want %d", stage, name, got, want)
			}
		}
	}
	ours := s.Base + 110
	board.to.Store(int64(ours))
	before := listing(t, a, ours)
	if strings.Count(before, "\n") != 5 {
		t.Fatalf("imapd lists\n%s", before)
	}
	all("imapd", 4)
	s.Procs["imapd"].Stop()

	d := dovecotInstead(t, s, board)
	if got := listing(t, a, d.pop3); got != before {
		t.Fatalf("imapd:\n%s\nDovecot:\n%s", before, got)
	}
	all("Dovecot", 4)
	imapdAgain(t, s, d, board)
	if got := listing(t, a, ours); got != before {
		t.Fatalf("before:\n%s\nimapd again:\n%s", before, got)
	}
	run(t, letter("sender@elsewhere.test", a.Name, "one-more"), "curl", "-sS", "--mail-from", "sender@elsewhere.test", "--mail-rcpt", a.Name, "-T", "-", "smtp://"+s.Addr(25))
	eventually(t, "one more message", func() bool { return strings.Count(listing(t, a, ours), "\n") == 6 })
	all("imapd again", 5)

	// Dovecot keeps other ids for good, which imapd goes by then.
	s.Procs["imapd"].Stop()
	d = dovecotInstead(t, s, board)
	before = listing(t, a, d.pop3)
	d.setting(t, "pop3_save_uidl = yes\npop3_uidl_format = %Mf-%u")
	saved := listing(t, a, d.pop3)
	if saved == before {
		t.Fatalf("Dovecot has no other ids:\n%s", saved)
	}
	imapdAgain(t, s, d, board)
	if got := listing(t, a, ours); got != saved {
		t.Fatalf("Dovecot saved\n%s\nimapd:\n%s", saved, got)
	}
}

// dovecotInstead has Dovecot serve the mail; imapd is stopped.
func dovecotInstead(t *testing.T, s *suite.Suite, board *switchboard) dovecot {
	t.Helper()
	run(t, "", "chown", "-R", "65534:65534", s.Path("mail"))
	d := serveMail(t, s.Accounts, s.Dir+"/mail/%d/%n", "maildir:~/Maildir")
	waitPort(t, d.pop3)
	board.to.Store(int64(d.pop3))
	return d
}

// imapdAgain stops Dovecot and starts imapd.
func imapdAgain(t *testing.T, s *suite.Suite, d dovecot, board *switchboard) {
	t.Helper()
	d.stop(t)
	if err := s.Procs["imapd"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	board.to.Store(int64(s.Base + 110))
}

// Whatever pop3_uidl_format says, both servers make the same ids of it.
func TestPOP3UIDLFormats(t *testing.T) {
	need(t, "dovecot", "doveadm", "curl", "python3")
	s := start(t, nil)
	fill(t, s, 3)
	a, imapd := s.Accounts[0], s.Procs["imapd"]
	base, err := os.ReadFile(imapd.Config())
	if err != nil {
		t.Fatal(err)
	}
	formats := []string{"%f", "%g", "%Mf", "%v.%u", "%08Xv%08Xu", "%u-%LMf", "%2.4Mf-%05u"}
	ours := map[string]string{}
	for _, f := range formats {
		imapd.Stop()
		write(t, imapd.Config(), fmt.Sprintf("%s\npop3: {uidl_format: %q}\n", base, f), 0o644)
		if err := imapd.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ours[f] = listing(t, a, s.Base+110)
	}
	imapd.Stop()
	run(t, "", "chown", "-R", "65534:65534", s.Path("mail"))
	d := serveMail(t, s.Accounts, s.Dir+"/mail/%d/%n", "maildir:~/Maildir")
	waitPort(t, d.pop3)
	for _, f := range formats {
		d.setting(t, "pop3_uidl_format = "+f)
		if theirs := listing(t, a, d.pop3); theirs != ours[f] {
			t.Errorf("%s\nimapd:\n%s\nDovecot:\n%s", f, ours[f], theirs)
		}
	}
}
