package expand

import (
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// values answers to the names it holds.
type values map[string]string

func (v values) Var(name string) (string, bool) { s, ok := v[name]; return s, ok }

// of is what Dovecot knows of a user.
func of(user string) values {
	local, domain, _ := strings.Cut(user, "@")
	first, _, _ := strings.Cut(domain, "@")
	return values{
		"user": user, "username": local, "domain": domain, "local_ip": "", "remote_ip": "", "auth_user": user, "orig_user": user,
		"domain_first": first, "domain_last": domain[strings.LastIndexByte("@"+domain, '@'):],
	}
}

func TestDovecot23(t *testing.T) {
	data, err := os.ReadFile("testdata/dovecot-2.3.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		row := strings.Split(line, "\t")
		tpl, err := Parse(row[1])
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		if got, err := tpl.Expand(of(row[0]), nil); got != row[2] || err != nil {
			t.Errorf("%s of %s: %q %v, want %q", row[1], row[0], got, err, row[2])
		}
	}
}

func TestExpand(t *testing.T) {
	v := values{
		"user": "Alice@example.org", "username": "Alice", "domain": "example.org", "evil": "%u%{user}'", "umlaut": "äöü",
		"userdb:quota:*:bytes=1G": "none", "number": "255", "quote": `a"b\c`, "empty": "", "list": "a\tb", "spaces": "x  ",
	}
	for _, tc := range []struct{ text, want string }{
		{"", ""},
		{"/m/%d/%n", "/m/example.org/Alice"},
		{"%Ln %Un %1Ln", "alice ALICE a"},
		{"%{user} %L{user}", "Alice@example.org alice@example.org"},
		{"100%% of %%u", "100% of %u"},
		{"%{userdb:quota:*:bytes=1G}", "none"},
		{"%1{umlaut} %-1.1{umlaut} %R{umlaut}", "ä ü üöä"},
		{"%X{number} %E{quote}|%T{spaces}|", `ff a\"b\\c|x|`},
		{"%{md5;format=hexuc,truncate=8:user}", "2C"},
		{`%{if;%n;eq;Alice;a\;b\:c\%d;x}`, "a;b:c%d"},
		{"%{if;%{number};>=;256;big;%Ud}", "EXAMPLE.ORG"},
		// Once: what a value holds is not looked at again.
		{"%{evil}", "%u%{user}'"},
		{"%{if;%{evil};eq;x;a;%{evil}}", "%u%{user}'"},
		{"%{evil | concat(evil)}", "%u%{user}'%u%{user}'"},
	} {
		tpl, err := Parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got, err := tpl.Expand(v, nil); got != tc.want || err != nil {
			t.Errorf("%s: %q %v", tc.text, got, err)
		}
	}
}

func TestFilters(t *testing.T) {
	v := values{"user": "Ann@mail.example.org", "two": "a@b@c", "port": "143", "empty": "", "list": "a\tb", "hex": "616263"}
	for _, tc := range []struct{ text, want string }{
		{"%{user | lower}", "ann@mail.example.org"},
		{"%{user|username|upper}", "ANN"},
		{"%{user | domain | ldap_dn}", "mail,dc=example,dc=org"},
		{"%{two | domain} %{two | username} %{two | domain_last}", "b@c a c"},
		{"%{user | substr(0, 1)} %{user | substr(-3)} %{user | substr(4,-4)}", "A org mail.example"},
		{"%{user | index('@', 1) | index('.', -1)}", "org"},
		{"%{user | truncate(3)}", "Ann"},
		{"%{user | reverse | truncate(3)}", "gro"},
		{"%{user | md5}", "dc90a87cbaf251b9c799b82c8fa2d168"},
		{"%{user | md5 | substr(0, 8) % 256 | hex(2)}", "b9"},
		{"%{user | md5 % 256 | hex(2)}", "68"},
		{"%{user | md5 | hexlify(4)}", "dc90"},
		{"%{user | hash('md5')}", "dc90a87cbaf251b9c799b82c8fa2d168"},
		{"%{user | sha256(rounds=2, salt='x') | base64 | substr(0, 8)}", "6Edknv9c"},
		{"%{user | sha1 | truncate(bits=12)}", "018d"},
		{"%{empty | default('none')} %{missing | default(port)} %{empty | default}|", "none 143 |"},
		{"%{missing | lower | default('x')}", "x"},
		{"%{two | index('@', 9) | default('x')}", "x"},
		{"%{port + 1} %{port - 3} %{port * 2} %{port / 10} %{port % 10}", "144 140 286 14 3"},
		{"%{port | hex} %{port | hex(4)} %{port | hex(-4)} %{port | hex | unhex}", "8f 008f 8f00 143"},
		{"%{port | lfill(5)} %{port | rfill(5, 'x')}", "00143 143xx"},
		{"%{hex | unhexlify | text} %{hex | unhexlify | base64} %{hex | unhexlify}", "abc YWJj 616263"},
		{"%{user | base64(pad=0) | unbase64(pad=0) | text}", "Ann@mail.example.org"},
		{"%{literal('a\\'b\\n')}", "a'b\n"},
		{"%{concat('x', user, \"y\")}", "xAnn@mail.example.orgy"},
		{"%{lookup('port')}", "143"},
		{"%{list | list(';')} %{list | list}", "a;b a,b"},
		{"%{if(port, '==', 143, 'yes', user)} %{user | if('*', 'B*', 'b', 'other')} %{if('a', '~', '[b-z]', '1', '2')}", "yes other 2"},
		{"%{user | regexp('(.*)@(.*)', '\\2-$1')}", "mail.example.org-Ann"},
		{"%{hex | unhexlify | truncate(2) | benumber} %{hex | unhexlify | truncate(2) | lenumber}", "24930 25185"},
	} {
		tpl, err := Parse(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got, err := tpl.Expand(v, nil); got != tc.want || err != nil {
			t.Errorf("%s: %q %v", tc.text, got, err)
		}
	}
}

// Mistakes are found when the configuration is read.
func TestMistakes(t *testing.T) {
	for _, bad := range []string{
		"%", "%x", "%9999n", "%999999999999n", "%1", "%L", "%{user", "%{}", "%{ }", "%{a'b}", "%LLLLLLLLLLLu",
		"%{user |}", "%{user | nosuch}", "%{user | lower(1)}", "%{user | md5(fail=1)}", "%{user | substr}", "%{user | substr(1,2,3)}",
		"%{user | substr(1}", "%{user | concat('x}", "%{lower(user)}", "%{user lower}", "%{user | if('is', 'b', 'c', 'd')}",
		"%{lookup(user)}", "%{user | regexp('(', 'x')}", "%{user | regexp(user, 'x')}", "%{user | if('~', user, 'a', 'b')}",
		"%{if;a;b}", "%{if;a;is;b;c}", "%{if;a;~;%u;c}", "%{if;a;~;(;c}", "%{sha256;rounds=0:user}", "%{sha256;rounds=1000000000:user}",
		"%{md5;format=bin:user}", "%{md5;pepper=x:user}", "%{md5:}", "%{md5;truncate=129:user}", "%{user | hash('crc')}", "%{user | hash(user)}",
		strings.Repeat("%{if;a;eq;", 10) + "a;b;c}" + strings.Repeat(";b;c}", 9), strings.Repeat("x", maxTemplate+1),
		"%{user" + strings.Repeat(" | lower", maxSteps+1) + "}",
	} {
		if _, err := Parse(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%.60s: %v", bad, err)
		}
	}
}

// What a value makes impossible is an error, never a wrong result.
func TestValuesThatDoNotFit(t *testing.T) {
	v := values{"user": "bob", "long": strings.Repeat("x", MaxResult/2+1)}
	for _, text := range []string{
		"%{nothing}", "%{user | nothing2 | lower}", "%{user + 1}", "%{user | substr(4)}", "%{user | substr(1, 5)}", "%{user | substr(2, -2)}",
		"%{user | index('@', 1)}", "%{user | hex}", "%{user | unhex}", "%{user | unhexlify}", "%{user | unbase64}", "%{user | benumber}",
		"%{user | truncate(user)}", "%{user | lfill(user)}", "%{user | md5 + 1}", "%{if;%u;==;1;a;b}", "%{literal('1') / 0}",
		"%{literal('1') % user}", "%{default(nothing)}", "%{user | md5(rounds=user)}",
		"%{long}%{long}", "%{long | hexlify}", "%{long | concat(long)}",
	} {
		tpl, err := Parse(text)
		if err == nil {
			_, err = tpl.Expand(v, nil)
		}
		if !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNames(t *testing.T) {
	tpl, err := Parse("%u %Ld %{sha256:session} %{if;%n;eq;%s;%l;%r} %{user | default(rip) | concat(lip, 'x')} %{lookup('mech')} %{passdb:a:b}")
	want := "user domain session username service local_ip remote_ip user rip lip mech passdb:a:b"
	if got := strings.Join(tpl.Names(), " "); got != want || err != nil {
		t.Errorf("%s %v", got, err)
	}
	if !tpl.Uses("lip") || tpl.Uses("x") {
		t.Error("Uses")
	}
}

func TestEscape(t *testing.T) {
	tpl, _ := Parse("(uid=%Ln)%{if;a;eq;a;%n}%{username | lower}")
	double := func(s string) string { return strings.ReplaceAll(s, "*", `\2a`) }
	if got, _ := tpl.Expand(values{"username": "A*"}, double); got != `(uid=a\2a)A\2aa\2a` {
		t.Error(got)
	}
}

// A quoted variable, as in Dovecot's examples, becomes a bare placeholder.
func TestBind(t *testing.T) {
	v := values{"user": "a'b", "domain": "d"}
	for _, tc := range []struct{ text, want string }{
		{"SELECT password FROM u WHERE name = '%u' AND d = '%d'", "SELECT password FROM u WHERE name = ? AND d = ?"},
		{"SELECT password FROM u WHERE name = '%{user | lower}'", "SELECT password FROM u WHERE name = ?"},
		{"SELECT password FROM u WHERE name = %u", "SELECT password FROM u WHERE name = ?"},
		{"SELECT '%u%d'", "SELECT '??'"},
		{"SELECT 1", "SELECT 1"},
	} {
		tpl, err := Parse(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tpl.Bind(func(int) string { return "?" }); got != tc.want {
			t.Errorf("%s: %s", tc.text, got)
		}
	}
	tpl, _ := Parse("%u %Ud")
	if args, err := tpl.Args(v); err != nil || args[0] != "a'b" || args[1] != "D" {
		t.Error(args, err)
	}
}

func TestWalk(t *testing.T) {
	tpl, _ := Parse("a '%Lu' 100%% %d")
	var seen []string
	tpl.Walk(func(text string) { seen = append(seen, text) }, func(v Template) {
		value, err := v.Expand(values{"user": "A", "domain": "d"}, nil)
		if err != nil {
			t.Error(err)
		}
		seen = append(seen, "<"+value+">")
	})
	if got := strings.Join(seen, "|"); got != "a '|<a>|' 100% |<d>" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"/m/%d/%n", "%1.2Nu", "%-2.04u", "%{user}", "%%", "'%u'", "%{if;%u;eq;a;b;%{user | lower}}", "%{sha256;rounds=2:user}",
		"%{user | md5 % 256 | hex(2)}", "%{user | regexp('a', 'b')}", "%{user | if('*', 'a*', 'b', user)}",
	} {
		f.Add(s, "u@d")
	}
	f.Fuzz(func(t *testing.T, text, user string) {
		tpl, err := Parse(text)
		if err != nil {
			return
		}
		got, err := tpl.Expand(values{"user": user, "domain": user}, nil)
		if err == nil && len(got) > MaxResult+len(text) {
			t.Fatal("too long")
		}
		_ = tpl.Bind(func(int) string { return "?" })
	})
}
