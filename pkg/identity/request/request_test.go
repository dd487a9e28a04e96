package request

import (
	"net/netip"
	"os"
	"reflect"
	"strconv"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestVar(t *testing.T) {
	r := &Request{
		User: "alice@example.org", Original: "Alice@Example.org", Service: "imap", Mech: "PLAIN", Session: "s1",
		Remote: netip.MustParseAddrPort("192.0.2.1:1000"), RealRemote: netip.MustParseAddrPort("[2001:db8::1]:2000"),
		Forward: []account.Field{{Key: "x", Value: "y"}},
	}
	r.Add(account.Field{Key: "a", Value: "1"})
	r.Add(account.Field{Key: "a", Value: "2"})
	r.AddUserdb(account.Field{Key: "home", Value: "/h"})
	for name, want := range map[string]string{
		"user": "alice@example.org", "username": "alice", "domain": "example.org", "orig_user": "Alice@Example.org",
		"auth_user": "alice@example.org", "service": "imap", "protocol": "imap", "mechanism": "PLAIN", "session": "s1",
		"remote_ip": "192.0.2.1", "rip": "192.0.2.1", "rport": "1000", "lip": "", "real_rip": "2001:db8::1",
		"passdb:a": "2", "userdb:home": "/h", "forward:x": "y", "passdb:none": "", "secured": "", "cert": "",
		"passdb:none:a:b": "a:b", "passdb:a:b": "2", "home": "/h", "login_user": "", "master_user": "", "password": "",
		"client_pid": "", "env:POSTCOTE_NO_SUCH": "", "uid": strconv.Itoa(os.Geteuid()),
	} {
		if got, ok := r.Var(name); !ok || got != want {
			t.Errorf("%%{%s} = %q %v, want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "nothing", "nothing:x", "user:x", "process:nothing"} {
		if v, ok := r.Var(name); ok {
			t.Errorf("%%{%s} = %q", name, v)
		}
	}
}

// Names are cut at the first "@", as Dovecot's variables are.
func TestVarOfOddName(t *testing.T) {
	r := &Request{User: "a@b@c", TLS: "TLSv1.3", ClientCert: true, PID: 7}
	for name, want := range map[string]string{
		"username": "a", "domain": "b@c", "domain_first": "b", "domain_last": "c", "secured": "TLS", "cert": "valid", "pid": "7",
	} {
		if got, _ := r.Var(name); got != want {
			t.Errorf("%%{%s} = %q, want %q", name, got, want)
		}
	}
}

// Before the password was right the master is the user, afterwards the other.
func TestVarOfMasterLogin(t *testing.T) {
	before := &Request{User: "admin", Claimed: "admin", LoginUser: "bob@x"}
	after := &Request{User: "bob@x", Claimed: "admin", AuthUser: "admin"}
	for name, want := range map[string][2]string{
		"user": {"admin", "bob@x"}, "auth_user": {"admin", "admin"}, "login_user": {"bob@x", "bob@x"},
		"login_domain": {"x", "x"}, "master_user": {"", "admin"}, "auth_username": {"admin", "admin"},
	} {
		b, _ := before.Var(name)
		a, _ := after.Var(name)
		if b != want[0] || a != want[1] {
			t.Errorf("%%{%s} = %q, then %q", name, b, a)
		}
	}
}

func TestTemplate(t *testing.T) {
	tpl, err := Template("%u %{userdb:x} %{user | domain}")
	if err != nil || len(tpl.Names()) != 3 {
		t.Error(tpl, err)
	}
	for _, bad := range []string{"%{nosuch}", "%x", "%{user | concat(nosuch)}", "%{if;%{nosuch};eq;a;b;c}"} {
		if _, err := Template(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFields(t *testing.T) {
	fs, err := ParseFields(map[string]string{"b": "%{user | domain}", "a": "x", "flag": ""})
	if err != nil || len(fs.Names()) != 1 || fs.Names()[0] != "user" {
		t.Fatal(fs, err)
	}
	r := &Request{User: "u@d"}
	got, err := fs.Expand(r)
	if err != nil || len(got) != 3 || got[0] != (account.Field{Key: "a", Value: "x"}) || got[1].Value != "d" || !got[2].Flag {
		t.Error(got, err)
	}
	if _, err := ParseFields(map[string]string{"a": "%{nosuch}"}); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
}

func TestAdd(t *testing.T) {
	r := &Request{}
	for _, f := range []account.Field{
		{Key: "a", Value: "1"},
		{Key: "a:protected", Value: "2"},
		{Key: "b:protected", Value: "3"},
		{Key: "c", Value: "4"},
		{Key: "c:remove"},
		{Key: "userdb_import", Value: "d=5\ta=6\tuserdb_import=x\te"},
	} {
		r.AddUserdb(f)
	}
	want := []account.Field{{Key: "a", Value: "6"}, {Key: "b", Value: "3"}, {Key: "d", Value: "5"}, {Key: "e", Flag: true}}
	if !reflect.DeepEqual(r.Userdb, want) {
		t.Errorf("%+v", r.Userdb)
	}
}
