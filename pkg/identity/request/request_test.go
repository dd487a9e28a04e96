package request

import (
	"net/netip"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
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
	} {
		if got, ok := r.Var(name); !ok || got != want {
			t.Errorf("%%{%s} = %q %v, want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "nothing", "env:HOME"} {
		if v, ok := r.Var(name); ok {
			t.Errorf("%%{%s} = %q", name, v)
		}
	}
}
