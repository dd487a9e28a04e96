package ldapdb

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestServers(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	var mu sync.Mutex
	var told []string
	k := &clock{start: time.Now()}
	s, err := Open(map[string]ServerConfig{"corp": f.config()}, Options{Now: k.now, Notify: func(database, uri string, why error) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, fmt.Sprint(database, " ", uri == f.uri(), " ", why != nil))
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := people()
	c.Database = "corp"
	d, err := s.Passdb(c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.Userdb(c)
	if err != nil {
		t.Fatal(err)
	}
	ask := func() error { _, err := d.(passdb.Lookuper).Lookup(t.Context(), who("alice")); return err }
	if err := ask(); err != nil {
		t.Error(err)
	}
	if _, err := u.Lookup(t.Context(), who("alice")); err != nil {
		t.Error(err)
	}
	if err := s.Check(t.Context()); err != nil || f.accepted.Load() != 1 {
		t.Error(err, f.accepted.Load(), "connections")
	}
	if st := s.Status()["corp"]; st.InUse != 0 || !st.URIs[0].Up {
		t.Errorf("%+v", st)
	}
	addr := f.addr
	f.stop()
	if err := ask(); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if err := s.Check(t.Context()); !fail.Is(err, fail.Unavailable) && err == nil {
		t.Error("no server, no complaint")
	}
	if st := s.Status()["corp"].URIs[0]; st.Up || st.Why == "" || st.Next != firstBackoff {
		t.Errorf("%+v", st)
	}
	f.start(addr)
	k.advance(firstBackoff)
	if err := ask(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(told, ", "); got != "corp true true, corp true false" {
		t.Error(got)
	}
	c.Database = "corq"
	if _, err := s.Passdb(c); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), "corp") {
		t.Error(err)
	}
}

// Two drivers with the same Dovecot file share its server.
func TestDovecotFile(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	file := filepath.Join(t.TempDir(), "dovecot-ldap.conf.ext")
	text := "uris = " + f.uri() + "\nbase = dc=x\npass_filter = (uid=%n)\nuser_filter = (uid=%n)\ndebug_level = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := DefaultConfig()
	c.DovecotFile = file
	d, err := s.Passdb(c)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := d.(passdb.Lookuper).Lookup(t.Context(), who("alice@x")); err != nil || a.User != "alice" {
		t.Error(a, err)
	}
	u, err := s.Userdb(c)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := u.Lookup(t.Context(), who("alice@x")); err != nil || r.UID != 1000 || f.accepted.Load() != 1 {
		t.Error(r, err)
	}
	if got := s.Notes(); len(got) != 1 || got[0] != file+": debug_level is not used" {
		t.Error(got)
	}
	c.DovecotFile += ".missing"
	if _, err := s.Userdb(c); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestVariables(t *testing.T) {
	s := connect(t, newFake(t).config())
	c := people()
	c.Base, c.PassFilter, c.PassAttrs = "ou=%d,dc=x", "(&(uid=%n)(service=%s))", "=a=%{ldap:uid}%{remote_ip}"
	d, err := newPassdb(s, c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := newUserdb(s, people())
	if err != nil {
		t.Fatal(err)
	}
	c.AuthBind, c.AuthBindUserDN = true, "uid=%n,ou=%d"
	b, err := newPassdb(s, c)
	if err != nil {
		t.Fatal(err)
	}
	got := [][]string{d.(passdb.Cacheable).Variables(), u.Variables(), b.(passdb.Cacheable).Variables()}
	want := [][]string{{"domain", "remote_ip", "service", "user", "username"}, {"user", "username"}, {"domain", "user", "username"}}
	if !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
	var _ userdb.Cacheable = u
}
