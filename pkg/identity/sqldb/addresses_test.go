package sqldb

import (
	"context"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const aliases = hosting + `
CREATE TABLE alias (address TEXT, goto TEXT, active INTEGER);
INSERT INTO alias VALUES
	('info@example.org', 'alice@example.org, bob@example.org,', 1),
	('list@example.org', 'a@x', 1), ('list@example.org', 'b@x', 1),
	('@example.org', 'alice@example.org', 1), ('off@example.org', 'x@y', 0),
	('null@example.org', NULL, 1), ('empty@example.org', ' , ', 1), ('lines@example.org', 'a@x' || char(10) || 'b@x', 1);
CREATE TABLE many AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1001) SELECT 'a@x' AS goto FROM n;
`

func TestAddresses(t *testing.T) {
	dbs := database(t, false, aliases)
	q := queries()
	q.AliasQuery = "SELECT goto FROM alias WHERE address = '%u' AND active = 1"
	q.SenderQuery = "SELECT username FROM mailbox WHERE username = '%u' AND active = 1 UNION SELECT goto FROM alias WHERE address = '%u' AND active = 1"
	q.RelayDomainQuery = "SELECT active FROM domain WHERE domain = '%d'"
	d, err := dbs.Userdb(q)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := d.(userdb.Addresses)
	if _, lists := d.(userdb.Lister); !ok || !lists {
		t.Fatalf("%T", d)
	}
	for _, tc := range []struct {
		ask     func(context.Context, string) ([]string, error)
		address string
		want    string
	}{
		{a.Aliases, "Info@Example.ORG", "alice@example.org bob@example.org"},
		{a.Aliases, "list@example.org", "a@x b@x"},
		{a.Aliases, "@example.org", "alice@example.org"},
		{a.Aliases, "off@example.org", "not found"},
		{a.Aliases, "null@example.org", "not found"},
		{a.Aliases, "empty@example.org", "not found"},
		{a.Aliases, "nobody@example.org", "not found"},
		{a.Aliases, "' OR '1'='1", "not found"},
		{a.Aliases, "", "not found"},
		{a.Aliases, "a\x00b", "not found"},
		{a.Aliases, "lines@example.org", "unavailable"},
		{a.Senders, "alice@example.org", "alice@example.org"},
		{a.Senders, "info@example.org", "alice@example.org bob@example.org"},
	} {
		list, err := tc.ask(context.Background(), tc.address)
		got := strings.Join(list, " ")
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != tc.want {
			t.Errorf("%q: %s %v, want %s", tc.address, got, err, tc.want)
		}
	}
	for domain, want := range map[string]bool{"Example.org": true, "old.example": false, "nowhere": false, "": false} {
		if relay, err := a.IsRelay(context.Background(), domain); relay != want || err != nil {
			t.Errorf("%q: %v %v", domain, relay, err)
		}
	}
}

func TestAddressesLimits(t *testing.T) {
	dbs := database(t, false, aliases)
	q := queries()
	q.IterateQuery = ""
	q.AliasQuery = "SELECT goto FROM many"
	d, err := dbs.Userdb(q)
	if err != nil {
		t.Fatal(err)
	}
	a, ok := d.(userdb.Addresses)
	if _, finds := d.(userdb.DomainFinder); !ok || finds {
		t.Fatalf("%T", d)
	}
	if list, err := a.Aliases(context.Background(), "x@y"); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), "more than 1000") {
		t.Error(len(list), err)
	}
	// What there is no query for has no answer.
	if _, err := a.Senders(context.Background(), "x@y"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if relay, err := a.IsRelay(context.Background(), "example.org"); relay || err != nil {
		t.Error(relay, err)
	}
	q.DomainQuery = "SELECT 1"
	if d, err = dbs.Userdb(q); err != nil {
		t.Fatal(err)
	}
	if _, finds := d.(userdb.DomainFinder); !finds {
		t.Errorf("%T", d)
	}
	q.AliasQuery = "SELECT '%{nothing}'"
	if _, err := dbs.Userdb(q); err == nil {
		t.Error("an unknown variable was let through")
	}
}
