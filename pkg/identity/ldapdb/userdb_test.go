package ldapdb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func users(t *testing.T, s *server, c Config) *Userdb {
	t.Helper()
	u, err := newUserdb(s, c)
	if err != nil {
		t.Fatal(err)
	}
	var _ userdb.Driver = u
	var _ userdb.Lister = u
	var _ userdb.DomainFinder = u
	var _ userdb.Addresses = u
	return u
}

func TestUserLookup(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	f.entries["(uid=root)"] = []*ldap.Entry{ldap.NewEntry("uid=root", map[string][]string{"uidNumber": {"0"}})}
	f.entries["(uid=up)"] = []*ldap.Entry{ldap.NewEntry("uid=up", map[string][]string{"homeDirectory": {"/h/../etc"}})}
	c := people()
	c.UserAttrs += ",=quota_rule=*:storage=%{ldap:quota}M"
	u := users(t, connect(t, f.config()), c)
	r, err := u.Lookup(t.Context(), who("alice@example.org"))
	if err != nil || r.User != "alice@example.org" || r.UID != 1000 || r.GID != 1001 || r.Home != "/h/alice" || show(r.Fields) != "quota_rule=*:storage=10M" {
		t.Errorf("%+v %v", r, err)
	}
	for user, want := range map[string]fail.Kind{"nobody": fail.NotFound, "root": fail.Unavailable, "up": fail.Unavailable} {
		if r, err := u.Lookup(t.Context(), who(user)); !fail.Is(err, want) {
			t.Errorf("%s: %+v %v", user, r, err)
		}
	}
}

func TestList(t *testing.T) {
	f := newFake(t)
	var want []string
	for i := range 1234 {
		name := fmt.Sprintf("user%04d@example.org", i)
		want = append(want, name)
		f.entries["(objectClass=posixAccount)"] = append(f.entries["(objectClass=posixAccount)"],
			ldap.NewEntry("uid="+name, map[string][]string{"uid": {strings.ToUpper(name)}}))
	}
	// An entry without a name is nobody; one with two is listed under both.
	f.entries["(objectClass=posixAccount)"] = append(f.entries["(objectClass=posixAccount)"],
		ldap.NewEntry("cn=x", nil), ldap.NewEntry("cn=y", map[string][]string{"uid": {"y1", "y2"}}))
	want = append(want, "y1", "y2")
	s := connect(t, f.config())
	u := users(t, s, people())
	var got []string
	for name, err := range u.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, name)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%d of %d names", len(got), len(want))
	}
	if len(f.searches) != 3 {
		t.Errorf("%d pages", len(f.searches))
	}
	for range u.List(t.Context()) {
		break // nobody reads on: the slot and the connection are free again
	}
	if len(s.listing) != 0 {
		t.Error("a listing never ended")
	}
	c := people()
	c.IterateAttrs = "=user=%{ldap:uid}@mail.example"
	for name, err := range users(t, s, c).List(t.Context()) {
		if err != nil || name != "user0000@example.org@mail.example" {
			t.Error(name, err)
		}
		break
	}
}

// A listing that breaks off says so at its end.
func TestListFails(t *testing.T) {
	for what, spoil := range map[string]func(f *fake){
		"size limit": func(f *fake) { f.results["(objectClass=posixAccount)"] = ldap.LDAPResultSizeLimitExceeded },
		"reference":  func(f *fake) { f.refer["(objectClass=posixAccount)"] = "ldap://other/" },
		"server off": func(f *fake) { f.stop() },
	} {
		f := newFake(t)
		f.entries["(objectClass=posixAccount)"] = []*ldap.Entry{alice()}
		spoil(f)
		var last error
		for _, err := range users(t, connect(t, f.config()), people()).List(t.Context()) {
			last = err
		}
		if !fail.Is(last, fail.Unavailable) {
			t.Errorf("%s: %v", what, last)
		}
	}
}

func TestHasDomain(t *testing.T) {
	f := newFake(t)
	c := people()
	c.DomainFilter = "(mail=*@%d)"
	f.entries["(mail=*@example.org)"] = []*ldap.Entry{alice(), alice()}
	f.results["(mail=*@broken.example)"] = ldap.LDAPResultOther
	f.results["(mail=*@large.example)"] = ldap.LDAPResultSizeLimitExceeded
	f.entries["(mail=*@large.example)"] = []*ldap.Entry{alice()}
	s := connect(t, f.config())
	for domain, want := range map[string]bool{"example.org": true, "EXAMPLE.org": true, "large.example": true, "other.example": false, "": false, "*": false} {
		if has, err := users(t, s, c).HasDomain(t.Context(), domain); has != want || err != nil {
			t.Errorf("%s: %v %v", domain, has, err)
		}
	}
	if has, err := users(t, s, c).HasDomain(t.Context(), "broken.example"); has || !fail.Is(err, fail.Unavailable) {
		t.Error(has, err)
	}
	if has, err := users(t, s, people()).HasDomain(t.Context(), "example.org"); has || err != nil {
		t.Error(has, err)
	}
}

func TestAddresses(t *testing.T) {
	f := newFake(t)
	entry := func(mail ...string) *ldap.Entry { return ldap.NewEntry("cn=x", map[string][]string{"mail": mail}) }
	f.entries["(alias=sales@example.org)"] = []*ldap.Entry{entry("alice@example.org", "bob@example.org"), entry("bob@example.org")}
	f.entries["(alias=@example.org)"] = []*ldap.Entry{entry("all@example.org")}
	f.entries["(alias=empty@example.org)"] = []*ldap.Entry{entry()}
	f.entries["(sender=sales@example.org)"] = []*ldap.Entry{entry("alice@example.org")}
	f.entries["(relay=backup.example)"] = []*ldap.Entry{entry()}
	f.results["(alias=broken@example.org)"] = ldap.LDAPResultOther
	for i := range maxAddresses + 1 {
		f.entries["(alias=many@example.org)"] = append(f.entries["(alias=many@example.org)"], entry(fmt.Sprint(i, "@example.org")))
	}
	c := people()
	c.AliasFilter, c.AliasAttr, c.SenderFilter, c.SenderAttr, c.RelayDomainFilter = "(alias=%u)", "mail", "(sender=%u)", "mail", "(relay=%d)"
	u := users(t, connect(t, f.config()), c)
	for address, want := range map[string]string{
		"Sales@Example.org": "alice@example.org bob@example.org", "@example.org": "all@example.org",
		"nobody@example.org": "not found", "empty@example.org": "not found", "*": "not found", "": "not found", "\xff": "not found",
		"broken@example.org": "unavailable", "many@example.org": "unavailable",
	} {
		list, err := u.Aliases(t.Context(), address)
		got := strings.Join(list, " ")
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != want {
			t.Errorf("%s: %s", address, got)
		}
	}
	if list, err := u.Senders(t.Context(), "sales@example.org"); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	for domain, want := range map[string]bool{"backup.example": true, "example.org": false, "": false, "\xff": false} {
		if is, err := u.IsRelay(t.Context(), domain); is != want || err != nil {
			t.Error(domain, is, err)
		}
	}
	none := users(t, connect(t, f.config()), people())
	if _, err := none.Aliases(t.Context(), "sales@example.org"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}
