package peer

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/mtad"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/test/bench/load"
)

// The configurations that deploy/ ships are ones that a benchmark can be made of.
func TestConfigurations(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile("../../../deploy/config/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	a := authconf.Default()
	if err := conf.Parse("authd.yaml", []byte(editAuthd(read("authd.yaml"), "/tmp/users")), &a); err != nil {
		t.Error(err)
	}
	if a.Users.File != "/tmp/users" || a.Users.Home != "/var/mail/postcote/%d/%n" || len(a.Listeners) < 5 {
		t.Errorf("authd: %+v", a.Users)
	}
	m := mtad.Default()
	if err := conf.Parse("mtad.yaml", []byte(editMtad(read("mtad.yaml"), "127.0.0.1:1", "127.0.0.1:2")), &m); err != nil {
		t.Error(err)
	}
	if m.Routes["sink.test"] != "lmtp:127.0.0.1:1" || m.Routes["hold.test"] != "lmtp:127.0.0.1:2" || len(m.Domains.Tables) != 0 {
		t.Errorf("mtad: %+v %+v", m.Routes, m.Domains)
	}
}

// CPU and memory are those of a process and its children, ended ones included.
func TestProcessTree(t *testing.T) {
	dir := t.TempDir()
	up := filepath.Join(dir, "up")
	script := `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done & wait; touch "$0"; sleep 60`
	s, err := Start(filepath.Join(dir, "log"), func() bool { _, err := os.Stat(up); return err == nil }, "/bin/sh", "-c", script, up)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if cpu, err := s.CPU(); err != nil || cpu < 2*tick || cpu > 20*time.Second {
		t.Errorf("%v %v", cpu, err)
	}
	if n, err := s.Memory(); err != nil || n < 50<<10 || n > 100<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	both := Both(&Server{Name: "a", roots: s.roots}, &Server{Name: "b", roots: func() []int { return nil }})
	if n, err := both.Memory(); err != nil || n < 50<<10 || both.Name != "a and b" {
		t.Errorf("%s: %d bytes, %v", both.Name, n, err)
	}
}

// Who does not get ready is stopped, and its log is in the error.
func TestStartFails(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip(err)
	}
	err := run(t.TempDir(), "sh", "-c", "echo sorry; exit 3")
	if err == nil || !strings.Contains(err.Error(), "sorry") {
		t.Error(err)
	}
}

func TestMailbox(t *testing.T) {
	dir := t.TempDir()
	corpus := filepath.Join(dir, "corpus")
	if err := load.Maildir(corpus, 5, -1); err != nil {
		t.Fatal(err)
	}
	s := &Server{Home: func(user string) string { return filepath.Join(dir, user) }}
	for _, n := range []int{5, 3} { // the second one forgets the first
		if err := s.Mailbox("u", corpus, n); err != nil {
			t.Fatal(err)
		}
		if files, err := os.ReadDir(filepath.Join(dir, "u/Maildir/cur")); err != nil || len(files) != n {
			t.Errorf("%d files, %v", len(files), err)
		}
	}
	if err := s.Mailbox("u", corpus, 6); err == nil {
		t.Error("six messages of five")
	}
	if err := s.Mailbox("u", corpus, 3); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop("u", "new.message", []byte("x")); err != nil || s.Delivered([]string{"u", "nobody"}) != 1 {
		t.Errorf("%d delivered, %v", s.Delivered([]string{"u"}), err)
	}
}

func TestAnswers(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if Answers(socket)() {
		t.Error("nobody listens yet")
	}
	l, err := net.Listen(Network(socket), socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !Answers(socket)() {
		t.Error("nobody answers")
	}
	var a, b string
	if err := freeAddresses(&a, &b); err != nil || a == b || fmt.Sprint(port(a)) == "" || Network(a) != "tcp" {
		t.Errorf("%s %s %v", a, b, err)
	}
}
