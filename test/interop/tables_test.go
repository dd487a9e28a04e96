//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// tableFiles are what the tables below are read from: good lines, and those
// with which people go wrong.
var tableFiles = map[string]string{
	"texthash": "  lead x\nkey1 v1\n  cont\n# c\n\n  cont2\nKEY2\tv2  \nkey1 dup\nnoval\n\"quo ted\"@x q v\n\"a\\\"b\" v\nkey: v\nk#x v # c\n\"bad v\n\"emp\" \nnull nv\r\n" +
		"joe@example.org joe\n@example.org catch@all\n.example.org sub\n1.2.3 net\n",
	"regexp": `/^A1$/ one
/^b2$/i two
/^(x|xy)(z)?$/ $1-$2
!/zz|ok|k|^d|if|q|w|e|m|[0-9]/ neg with  blanks
 more
if /^k/
/kx(.)(y)?/ kx-${1}-$(1)$2-$$
endif
/^d\/e/ slash
|q(1)| pipe$1
IF !/^w/
/w/ notreached
endif
/(e)(f)/ $3
!/e/ $1
endif
/a$x/ x
/m(/ v
/d/ ${1
/d/ $
/[[:digit:]]{3,}/x basic
/[[:digit:]]{3,}/ digits
/^a.b$/m dot
/(a)\1/ twice
/^Subject: .*(viagra|casino)/ REJECT no $1
if /unclosed/
/mm/ mm
`,
	"pcre": `/^(?!owner-)([^@]+)-request@(.*)$/ $1@$2
/^(?<n>a)(?<m>b+)\k<n>/ $2$1
/^(\d{1,3})\.(\d{1,3})$/ $2.$1
/^x y$/x nospace
/^lazy(.+?)(o+)$/ $1|$2
/^lazz(.+)(o+)$/U $1|$2
/(?<=foo)bar/ behind
/^s.t$/s dot
/^end$/E end
/b(?i:X)/i mixed
/^[\w.+-]+@[[:alpha:]]+\.\Qex.am\E$/ quoted
/^(?>at+)om/ atomic
/unknown\y/ y
/[z-a]/ range
/^q$/q q
!/[a-z0-9]/ neither
`,
	"cidr": `1.2.3.0/24 a
1.2.3.4 b
::1 c
[2001:db8::]/32 d
2001:db9::/32 e
1.2.3.4/24 bad
if 10.1.0.0/16
10.1.1.0/24 f
endif
if !10.2.0.0/16
10.3.0.0/16 g
endif
10.4.0.0/33 bad
10.4.0.0/16
x y
! 10.0.0.0/8 notten
10.0.0.0/8 ten
::ffff:1.2.3.4 m
0.0.0.0/0 all
`,
}

// tableKeys are asked of each table of one kind.
var tableKeys = map[string][]string{
	"texthash": {
		"key1", "key2", "KEY2", "noval", `"quo`, "quo ted", `"quo ted"@x`, `a"b`, `"a\"b"`, "key:", "key", "k#x", `"bad`, "emp", "lead", "null", "joe@example.org",
		"JOE@EXAMPLE.ORG", "@example.org", ".example.org", "1.2.3", "x@example.org",
	},
	"regexp": {
		"a1", "A1", "b2", "B2", "x", "xy", "xz", "xyz", "nomatch", "kx1", "kx1y", "kz", "d/e", "q1", "w", "ef", "e", "zz", "mm", "unclosed mm e", "12", "123", "a b", "aa",
		"Subject: cheap VIAGRA here", "subject: x", "m",
	},
	"pcre": {
		"list-request@example.org", "owner-list-request@example.org", "aba", "abbA", "12.345", "1.2.3", "x y", "xy", "lazyfoo", "lazzfoo", "foobar", "bar", "sxt", "s\tt",
		"end", "bX", "BX", "bx", "joe@abc.ex.am", "joe@abc.exxam", "attom", "unknowny", "q", "!!",
	},
	"cidr": {
		"1.2.3.4", "1.2.3.9", "::1", "2001:db8::1", "2001:DB8:0::1", "2001:db9::1", "10.1.1.1", "10.1.2.1", "10.3.0.1", "10.2.0.1", "10.4.0.1", "192.0.2.1", "bogus",
		"::ffff:1.2.3.4", "[::1]", "1.2.3", "fe80::1",
	},
}

// ask is what one of our tables says to each key that it has, as postmap -q -
// prints it.
func ask(t *testing.T, spec string, keys []string) string {
	t.Helper()
	set := tables.New(tables.Events{})
	defer func() { _ = set.Close() }()
	table, err := set.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, key := range keys {
		value, err := table.Lookup(t.Context(), key)
		switch {
		case err == nil:
			fmt.Fprintf(&b, "%s\t%s\n", key, value)
		case fail.Is(err, fail.Unavailable):
			return "error\n"
		}
	}
	return b.String()
}

// askPostfix is the same of Postfix's. Values that are empty are left out: both
// take them for a mistake.
func askPostfix(t *testing.T, dir, spec string, keys []string) string {
	t.Helper()
	out, err := try(strings.Join(keys, "\n")+"\n", "postmap", "-c", dir, "-q", "-", spec)
	if err != nil && strings.Contains(out, "fatal:") {
		return "error\n"
	}
	var b strings.Builder
	for line := range strings.Lines(out) {
		if _, value, _ := strings.Cut(line, "\t"); !strings.HasPrefix(line, "postmap: ") && strings.TrimSpace(value) != "" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Every table gives the answers that the real postmap gives.
func TestTablesAnswerAsPostfix(t *testing.T) {
	need(t, "postmap")
	dir := tempDir(t, "tables")
	write(t, dir+"/main.cf", "compatibility_level = 3.6\n", 0o644)
	for kind, keys := range tableKeys {
		write(t, dir+"/"+kind, tableFiles[kind], 0o644)
		spec := kind + ":" + dir + "/" + kind
		if got, want := ask(t, spec, keys), askPostfix(t, dir, spec, keys); got != want {
			t.Errorf("%s says\n%swant\n%s", spec, got, want)
		}
	}
	keys := []string{"a", "A", "b", "key1", "x y", "root"}
	for _, spec := range []string{
		"inline:{a=b, {c = d e } , A=z}", "inline:{{a={x y}},b=c=d}", "static:xx", "static:{ a  b }", "randmap:{one}", "randmap:{ {a b} }",
		"unionmap:{static:a,inline:{a=b}}", "unionmap:{ static:a , static:{b c}}", "unionmap:{inline:{a=1},inline:{b=2},texthash:" + dir + "/texthash}",
		"pipemap:{inline:{a=b},inline:{b=c}}", "pipemap:{inline:{a=key1,b=none},texthash:" + dir + "/texthash}", "unionmap:{static:a,fail:x}", "fail:x",
		"regexp:{{/a/ b$$}}", "regexp:{{if /a/},{/a/ c},{endif},{!/a/ d}}", "pcre:{ {/^(.) (.)$/ $2$1} }", "cidr:{{1.2.3.0/24 x}}", "unix:passwd.byname", "unix:group.byname",
	} {
		if got, want := ask(t, spec, keys), askPostfix(t, dir, spec, keys); got != want {
			t.Errorf("%s says\n%swant\n%s", spec, got, want)
		}
	}
}

// The schema and the files of the usual installations with virtual domains.
const hostingSchema = `CREATE TABLE domain (domain VARCHAR(255) PRIMARY KEY, backupmx SMALLINT, active SMALLINT);
CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, maildir VARCHAR(255), active SMALLINT);
CREATE TABLE alias (address VARCHAR(255) PRIMARY KEY, goto TEXT, active SMALLINT);
CREATE TABLE alias_domain (alias_domain VARCHAR(255), target_domain VARCHAR(255), active SMALLINT);
INSERT INTO domain VALUES ('example.org', 0, 1), ('old.example', 0, 0), ('backup.example', 1, 1);
INSERT INTO mailbox VALUES ('joe@example.org', 'example.org/joe/', 1), ('gone@example.org', 'example.org/gone/', 0), ('o''hara@example.org', 'example.org/o''hara/', 1);
INSERT INTO alias VALUES ('info@example.org', 'joe@example.org,ann@example.net', 1), ('@old.example', '@example.org', 1);
INSERT INTO alias_domain VALUES ('example.com', 'example.org', 1);
`

var hostingFiles = map[string]string{
	"domains":   "query = SELECT domain FROM domain WHERE domain='%s' AND backupmx = 0 AND active = 1",
	"mailboxes": "query = SELECT maildir FROM mailbox WHERE username='%s' AND active = 1",
	"aliases":   "query = SELECT goto FROM alias WHERE address='%s' AND active = 1",
	"by_domain": "query = SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' AND alias.address = CONCAT('%u', '@', alias_domain.target_domain) AND alias.active = 1 AND alias_domain.active = 1",
	"old":       "table = mailbox\nselect_field = maildir\nwhere_field = username\nadditional_conditions = AND active = 1\nresult_format = /var/vmail/%s",
	"limited":   "query = SELECT username FROM mailbox WHERE username LIKE CONCAT('%%@', '%d')\nexpansion_limit = 1",
	"filtered":  "query = SELECT maildir FROM mailbox WHERE username='%s'\ndomain = example.net",
}

// Real servers answer Postfix's own files.
func TestSQLTables(t *testing.T) {
	eachSQL(t, func(t *testing.T, driver string) {
		s := startSQL(t, driver)
		s.exec(hostingSchema)
		dir := tempDir(t, "sqltables")
		head := fmt.Sprintf("user = %s\npassword = %s\ndbname = %s\nhosts = 127.0.0.1:1 127.0.0.1:%d unix:%s\n", sqlUser, sqlPassword, sqlName, s.port, s.socket())
		for name, text := range hostingFiles {
			write(t, dir+"/"+name, head+text+"\n", 0o644)
		}
		set := tables.New(tables.Events{})
		defer func() { _ = set.Close() }()
		say := func(name, key string) string {
			table, err := set.Open("proxy:" + driver + ":" + dir + "/" + name)
			if err != nil {
				t.Fatal(err)
			}
			value, err := table.Lookup(t.Context(), key)
			if err != nil {
				return fail.KindOf(err).String()
			}
			return value
		}
		for _, tc := range []struct{ name, key, want string }{
			{"domains", "Example.org", "example.org"},
			{"domains", "backup.example", "not found"},
			{"domains", "old.example", "not found"},
			{"mailboxes", "joe@example.org", "example.org/joe/"},
			{"mailboxes", "gone@example.org", "not found"},
			{"mailboxes", "o'hara@example.org", "example.org/o'hara/"},
			{"mailboxes", "' OR 'a'='a", "not found"},
			{"mailboxes", `\' OR 1=1 -- `, "not found"},
			{"mailboxes", "x'; DROP TABLE mailbox; -- @example.org", "not found"},
			{"aliases", "info@example.org", "joe@example.org,ann@example.net"},
			{"aliases", "@old.example", "@example.org"},
			{"by_domain", "info@example.com", "joe@example.org,ann@example.net"},
			{"by_domain", "example.com", "not found"},
			{"by_domain", "@example.com", "not found"},
			{"old", "joe@example.org", "/var/vmail/example.org/joe/"},
			{"limited", "x@example.org", "invalid"},
			{"limited", "x@example.net", "not found"},
			{"filtered", "joe@example.org", "not found"},
		} {
			if got := say(tc.name, tc.key); got != tc.want {
				t.Errorf("%s: %q is %q, want %q", tc.name, tc.key, got, tc.want)
			}
		}
		if n := len(set.Databases()); n != 1 {
			t.Errorf("%d pools for one database", n)
		}
		table, err := set.Open(driver + ":" + dir + "/aliases")
		if err != nil {
			t.Fatal(err)
		}
		found, err := lookup.Address(t.Context(), lookup.Maps{table}, addr.Address{Local: "anybody+list", Domain: "old.example"}, lookup.AddressKeys{Delimiter: "+"})
		if err != nil || found.Value != "anybody+list@example.org" || found.Extension != "" {
			t.Error(found, err)
		}
		s.stop(s.quickly())
		if _, err := table.Lookup(t.Context(), "info@example.org"); !fail.Is(err, fail.Unavailable) {
			t.Errorf("without a server: %v", err)
		}
		s.start()
		eventually(t, "the table answers again", func() bool { return say("domains", "example.org") == "example.org" })
	})
}

// What the table below expands: a group of people and of another group, one
// that has an address of its own, and one whose members a URL names.
const ldapGroups = `dn: ou=groups,%[1]s
objectClass: organizationalUnit
ou: groups

dn: cn=inner,ou=groups,%[1]s
objectClass: groupOfNames
cn: inner
member: uid=bob,ou=people,%[1]s
member: uid=nobody,ou=people,%[1]s
member: cn=outer,ou=groups,%[1]s

dn: cn=outer,ou=groups,%[1]s
objectClass: groupOfNames
cn: outer
member: uid=alice,ou=people,%[1]s
member: cn=inner,ou=groups,%[1]s

dn: cn=byurl,ou=groups,%[1]s
objectClass: groupOfNames
objectClass: labeledURIObject
cn: byurl
member: uid=nobody,ou=people,%[1]s
labeledURI: ldap:///ou=people,%[1]s?mail?sub?(|(uid=alice)(uid=carol))
`

// slapd answers Postfix's own files.
func TestLDAPTables(t *testing.T) {
	s := startSlapd(t)
	run(t, fmt.Sprintf(ldapGroups, ldapBase), "ldapadd", "-x", "-H", s.uri(), "-D", "cn=admin,"+ldapBase, "-w", "admin-secret")
	dir := tempDir(t, "ldaptables")
	login := "search_base = " + ldapBase + "\nbind_dn = cn=postcote,ou=services," + ldapBase + "\nbind_pw = service-secret\n"
	hosts := "server_host = ldap://127.0.0.1:1 " + s.uri() + "\n"
	const groups = "query_filter = (&(objectClass=groupOfNames)(cn=%u))\nresult_attribute =\nleaf_result_attribute = mail\nspecial_result_attribute = member, labeledURI\n"
	for _, tc := range []struct{ settings, key, want string }{
		{hosts + "query_filter = (mail=%s)\nresult_attribute = uid", "Alice@example.org", "alice"},
		{hosts + "start_tls = yes\nversion = 3\ntls_require_cert = yes\ntls_ca_cert_file = " + s.ca + "\nquery_filter = mail=%s\nresult_attribute = uid", "alice@example.org", "alice"},
		{hosts + "query_filter = (mail=%s)\nresult_attribute = homeDirectory, uid\nresult_format = <%s>", "alice@example.org", "</home/alice>,<alice>"},
		{hosts + "query_filter = (mail=%s)\nresult_attribute = uid", "nobody@example.org", "not found"},
		{hosts + "query_filter = (mail=%s)\nresult_attribute = uid", "*", "not found"},
		{hosts + "query_filter = (mail=%s)\nresult_attribute = uid", "*)(uid=alice", "not found"},
		{hosts + "query_filter = (mail=%u@%d)\nresult_attribute = uid", "alice", "not found"},
		{hosts + "query_filter = (mail=%s)\nresult_attribute = uid\ndomain = example.net", "alice@example.org", "not found"},
		{hosts + "query_filter = (objectClass=posixAccount)\nresult_attribute = uid\nexpansion_limit = 2", "x", "unavailable"},
		{hosts + groups, "outer@x", "alice@example.org,bob@example.org"},
		{hosts + groups, "byurl@x", "alice@example.org,carol@example.org"},
		{hosts + groups + "terminal_result_attribute = cn", "outer@x", "outer"},
		{"server_host = ldap://127.0.0.1:1\nquery_filter = (mail=%s)", "alice@example.org", "unavailable"},
	} {
		path := write(t, dir+"/table.cf", login+tc.settings+"\n", 0o644)
		set := tables.New(tables.Events{})
		table, err := set.Open("ldap:" + path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := table.Lookup(t.Context(), tc.key)
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != tc.want {
			t.Errorf("%s%q: %s (%v), want %s", tc.settings, tc.key, got, err, tc.want)
		}
		_ = set.Close()
	}
}
