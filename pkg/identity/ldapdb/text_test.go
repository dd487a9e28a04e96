package ldapdb

import (
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// CVE-2026-27860, CVE-2026-27851: names with filter characters are names, and
// no modifier turns escaping off.
func TestFilterEscapes(t *testing.T) {
	for _, tc := range []struct{ filter, user, want string }{
		{"(uid=%u)", "alice", "(uid=alice)"},
		{"(&(objectClass=person)(mail=%u))", "alice@example.org", "(&(objectClass=person)(mail=alice@example.org))"},
		{"(uid=%u)", "*", `(uid=\2a)`},
		{"(uid=%u)", "*)(uid=*", `(uid=\2a\29\28uid\3d\2a)`},
		{"(uid=%u)", `\2a`, `(uid=\5c2a)`},
		{"(uid=%u)", "a\x00b", `(uid=a\00b)`},
		{"(uid=%n)", "jürgen@x", "(uid=jürgen)"},
		{"(uid=%u)", "\xff", `(uid=\ff)`},
		{"(|(uid=%n*)(mail=*%d))", "a*@b", `(|(uid=a\2a*)(mail=*b))`},
		{"(uid:caseExactMatch:=%u)", "A", "(uid:caseExactMatch:=A)"},
		// Dovecot's filters cannot turn escaping off.
		{"(uid=%{user | unhexlify | text})", "2a", `(uid=\2a)`},
	} {
		f, err := parseFilter(tc.filter)
		if err != nil {
			t.Errorf("%s: %v", tc.filter, err)
			continue
		}
		if got, err := f.expand(&request.Request{User: tc.user}); got != tc.want || err != nil {
			t.Errorf("%s of %q: %s %v", tc.filter, tc.user, got, err)
		}
	}
}

func TestFilterRefused(t *testing.T) {
	for _, bad := range []string{
		"", "uid=%u", "(uid=%u", "(uid=%u))", "(%u=x)", "(uid%u=x)", "(%u)", "(&%u)", "(uid:%u:=x)", "(uid=%x)", "(%{user}=*)",
	} {
		if _, err := parseFilter(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	// An empty part would turn "begins with" into "has any".
	f, err := parseFilter("(uid=%n*)")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.expand(&request.Request{User: "@example.org"}); !fail.Is(err, fail.Unavailable) {
		t.Error(got, err)
	}
}

func TestDN(t *testing.T) {
	for _, tc := range []struct{ dn, user, want string }{
		{"uid=%n,ou=people,dc=example", "alice@x", "uid=alice,ou=people,dc=example"},
		{"uid=%n,dc=example", "a,dc=evil", `uid=a\2cdc\3devil,dc=example`},
		{"uid=%n,dc=example", "a+cn=b", `uid=a\2bcn\3db,dc=example`},
		{"uid=%n,dc=example", ` #a\`, `uid=\20\23a\5c,dc=example`},
		// Active Directory: a name in place of the DN.
		{"%u", "alice@corp.example", "alice@corp.example"},
		{"%u", "cn=admin,dc=corp", `cn\3dadmin\2cdc\3dcorp`},
		{`CORP\%n`, "alice@x", `CORP\alice`},
	} {
		d, err := parseDN(tc.dn, true)
		if err != nil {
			t.Errorf("%s: %v", tc.dn, err)
			continue
		}
		if got, err := d.expand(&request.Request{User: tc.user}); got != tc.want || err != nil {
			t.Errorf("%s of %q: %s %v", tc.dn, tc.user, got, err)
		}
	}
	for _, bad := range []string{"%u=x,dc=y", "dc=%q", ""} {
		if _, err := parseDN(bad, false); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestMappings(t *testing.T) {
	e := ldap.NewEntry("uid=alice,dc=x", map[string][]string{
		"uid": {"alice", "al"}, "homeDirectory": {"/h/alice"}, "quota": {"10"}, "empty": {},
	})
	r := &request.Request{User: "alice@x", Service: "imap"}
	for _, tc := range []struct{ attrs, ask, want string }{
		{"", "", ""},
		{"uid=user, homeDirectory=home", "uid homeDirectory", "user=alice home=/h/alice"},
		{"UID=user", "UID", "user=alice"},
		{"quota", "quota", "quota=10"},
		{"missing=a, empty=b", "missing empty", ""},
		{"=mail=maildir:/m/%d/%{ldap:uid}, =x", "uid", "mail=maildir:/m/x/alice x="},
		{"quota=rule=*:bytes=%{ldap:quota}", "quota", "rule=*:bytes=10"},
		{"missing=rule=%{ldap:quota}", "missing quota", ""},
		{"=a=%{ldap:missing}, =b=%{ldap:missing:none}", "missing", "a= b=none"},
		{"=a=%{ldap_multi:uid}, =b=%{ldap_multi:uid:-}, =c=%{ldap_multi:uid::}, =d=%{ldap_multi:no:-:none}", "uid no", "a=alice al b=alice-al c=alice:al d=none"},
		{"=a=%{ldap:uid | upper}, =b=%{ldap:missing | default('none')}", "uid missing", "a=ALICE b=none"},
		{"!uid, quota=, =a=%{ldap:UID}", "uid quota", "a=alice"},
		{"=dn=%{ldap_dn}, =s=%{service}", "", "dn=uid=alice,dc=x s=imap"},
	} {
		m, err := parseMappings(tc.attrs, "")
		if err != nil {
			t.Errorf("%s: %v", tc.attrs, err)
			continue
		}
		fs, err := m.fields(r, e)
		if got := show(fs); err != nil || got != tc.want || strings.Join(m.ask, " ") != tc.ask {
			t.Errorf("%s: ask %v, fields %q %v", tc.attrs, m.ask, got, err)
		}
	}
	for _, bad := range []string{
		"=", "==x", "uid==x", "@mail=%{ldap:dn}", "=a=%{ldap:x@mail}", "=a=%{ldap_ptr:x}", "u id=user", "uid=us er", "=a=%{nothing}", "=a=%",
		strings.Repeat("uid=user,", 201),
	} {
		if _, err := parseMappings(bad, ""); !fail.Is(err, fail.Invalid) {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
}

func TestPasswordsAreOne(t *testing.T) {
	m, err := parseMappings("userPassword=password", "")
	if err != nil {
		t.Fatal(err)
	}
	two := ldap.NewEntry("uid=a", map[string][]string{"userPassword": {"{SSHA}x", "{SSHA}y"}})
	if _, err := m.fields(&request.Request{}, two); !fail.Is(err, fail.Unavailable) || strings.Contains(err.Error(), "SSHA") {
		t.Error(err)
	}
	if m, err := parseMappings("uid=user,userPassword=password", "password"); err != nil || len(m.ask) != 1 {
		t.Error("a bind asks for the password:", m.ask, err)
	}
}

func show(fs []account.Field) string {
	var parts []string
	for _, f := range fs {
		parts = append(parts, f.Key+"="+f.Value)
	}
	return strings.Join(parts, " ")
}

// values of a filter's leaves.
func leaves(p *ber.Packet) []string {
	switch p.Tag {
	case ldap.FilterAnd, ldap.FilterOr, ldap.FilterNot:
		var all []string
		for _, c := range p.Children {
			all = append(all, leaves(c)...)
		}
		return all
	case ldap.FilterEqualityMatch:
		return []string{p.Children[1].Data.String()}
	}
	return nil
}

// Whatever a name is, the filter asks the same question about exactly that
// name.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"alice@example.org", "*", "*)(uid=*", `\2a`, "a\x00", "\xff\xfe", "(|(a=b))", "@", "x@", "jürgen"} {
		f.Add(seed)
	}
	template, err := parseFilter("(&(objectClass=person)(|(mail=%u)(uid=%u))(!(sub=*%u*)))")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, user string) {
		text, err := template.expand(&request.Request{User: user})
		if err != nil {
			return
		}
		p, err := ldap.CompileFilter(text)
		if err != nil {
			t.Fatal(err)
		}
		got := leaves(p)
		if len(got) != 3 || got[0] != "person" || got[1] != user || got[2] != user {
			t.Fatalf("%q became %s", user, text)
		}
	})
}

// The same for names.
func FuzzDN(f *testing.F) {
	for _, seed := range []string{"alice", "a,dc=evil", "a+b=c", " a ", "#41", `\`, "a\x00", "\xff", "jürgen", `"`} {
		f.Add(seed)
	}
	template, err := parseDN("uid=%u,ou=people,dc=example", false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, user string) {
		text, err := template.expand(&request.Request{User: user})
		if err != nil {
			return
		}
		d, err := ldap.ParseDN(text)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.RDNs) != 3 || len(d.RDNs[0].Attributes) != 1 || d.RDNs[0].Attributes[0].Value != user {
			t.Fatalf("%q became %s", user, text)
		}
	})
}

func FuzzMappings(f *testing.F) {
	for _, seed := range []string{"uid=user, userPassword=password", "=home=/h/%{ldap:uid:none}", "a=b=c=%{ldap_multi:x:y:z}", "!a,b=", "@a=b"} {
		f.Add(seed)
	}
	e := ldap.NewEntry("uid=a", map[string][]string{"uid": {"a", "b"}})
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMappings(text, "")
		if err != nil {
			return
		}
		for _, a := range m.ask {
			if !isAttribute(a) {
				t.Fatalf("asks for %q", a)
			}
		}
		_, _ = m.fields(&request.Request{User: "a@b"}, e)
		_, _ = m.names(e)
	})
}
