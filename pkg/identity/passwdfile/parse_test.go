package passwdfile

import (
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestParse(t *testing.T) {
	s, err := Parse("users", strings.NewReader(`# accounts

alice@example.org:{ARGON2ID}$argon2id$x:1000:1001:Alice:/home/alice:/bin/sh:userdb_mail=maildir:~/Mail allow_nets=192.0.2.0/24,::1 userdb_quota_rule=*:bytes=1G nologin
Bob@Example.ORG:{PLAIN}pw
carol:!$6$locked::::
`))
	if err != nil || len(s.Problems) != 0 {
		t.Fatalf("%v %v", err, s.Problems)
	}
	want := []*Entry{
		{
			Name: "alice@example.org", Password: "{ARGON2ID}$argon2id$x", UID: 1000, GID: 1001, Home: "/home/alice", Line: 3,
			Passdb: []account.Field{{Key: "allow_nets", Value: "192.0.2.0/24,::1"}, {Key: "nologin", Flag: true}},
			Userdb: []account.Field{{Key: "mail", Value: "maildir:~/Mail"}, {Key: "quota_rule", Value: "*:bytes=1G"}},
		},
		{Name: "bob@example.org", Password: "{PLAIN}pw", UID: -1, GID: -1, Line: 4},
		{Name: "carol", Password: "!$6$locked", UID: -1, GID: -1, Line: 5},
	}
	if !reflect.DeepEqual(s.Entries(), want) {
		for _, e := range s.Entries() {
			t.Logf("%+v", *e)
		}
		t.Fatal("entries differ")
	}
	if e, err := s.Lookup("BOB@example.org"); err != nil || e.Line != 4 || e.Locked() {
		t.Fatalf("%+v %v", e, err)
	}
	if _, err := s.Lookup("dave@example.org"); !fail.Is(err, fail.NotFound) {
		t.Fatal(err)
	}
	if !s.Entries()[2].Locked() || !s.HasDomain("example.org") || s.HasDomain("example.com") || s.HasDomain("") {
		t.Fatal("locked or domains are wrong")
	}
}

// Each of these lines is reported with its number and not in force. When the
// user can be told, its mail waits.
func TestProblems(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, tc := range []struct {
		name, line, text string
		user             string // whose lookup is a temporary failure
	}{
		{"no colon", "alice", "no colon", ""},
		{"no name", ":{PLAIN}x", "empty", ""},
		{"space in name", "al ice:x", "white space", ""},
		{"path in name", "../alice:x", "begins with a dot", ""},
		{"dot part", "alice@..:x", "begins with a dot", ""},
		{"not UTF-8", "al\xffice:x", "UTF-8", ""},
		{"uid", "alice:x:abc", `uid "abc"`, "alice"},
		{"root", "alice:x:0:0", `uid "0"`, "alice"},
		{"negative gid", "alice:x:1:-1", `gid "-1"`, "alice"},
		{"relative home", "alice:x:1:1::home", "absolute", "alice"},
		{"home upwards", "alice:x:1:1::/var/mail/../../etc", "upwards", "alice"},
		{"root by field", "alice:x::::::userdb_uid=0", "userdb_uid", "alice"},
		{"home by field", "alice:x::::::userdb_home=etc", "absolute", "alice"},
		{"two passwords", "alice:x::::::password=y", "second field", "alice"},
		{"bad key", "alice:x::::::=1", "proper key", "alice"},
		{"long line", "alice:x:::" + long, "longer", "alice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Parse("users", strings.NewReader("# first\n"+tc.line+"\nzoe:{PLAIN}x\n"))
			if err != nil || len(s.Problems) != 1 {
				t.Fatalf("%v %v", err, s.Problems)
			}
			if p := s.Problems[0]; p.Line != 2 || !strings.Contains(p.String(), "users:2: ") || !strings.Contains(p.Text, tc.text) {
				t.Errorf("problem: %s", p)
			}
			if _, err := s.Lookup("zoe"); err != nil {
				t.Errorf("the next line: %v", err)
			}
			if tc.user != "" {
				if _, err := s.Lookup(tc.user); !fail.Is(err, fail.Unavailable) {
					t.Errorf("lookup of %s: %v", tc.user, err)
				}
			}
		})
	}
}

func TestFirstOfTwoLinesCounts(t *testing.T) {
	s, err := Parse("users", strings.NewReader("alice:one\nALICE:two\n"))
	if err != nil || len(s.Problems) != 1 || s.Problems[0].Line != 2 {
		t.Fatalf("%v %v", err, s.Problems)
	}
	if e, _ := s.Lookup("alice"); e == nil || e.Password != "one" {
		t.Fatalf("%+v", e)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	s, err := Parse("users", strings.NewReader(strings.Repeat("junk\n", 10*maxProblems)))
	if err != nil || len(s.Problems) != maxProblems {
		t.Fatalf("%v, %d problems", err, len(s.Problems))
	}
}

// FuzzParse: what is in force can be written as a line again and means the
// same; nobody in force is root or lives outside an absolute path.
func FuzzParse(f *testing.F) {
	f.Add("alice@example.org:{PLAIN}x:1:2::/h:/bin/sh:a=b userdb_c=d\n#x\n\nbob")
	f.Add("alice:x::::::userdb_uid=0")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Entries() {
			if e.UID == 0 || e.GID == 0 || account.CheckHome(e.Home) != nil || account.CheckName(e.Name) != nil {
				t.Fatalf("%+v is in force", e)
			}
			var ed Editor
			if err := ed.Add(*e); err != nil {
				if strings.Contains(e.Password, "\r") || strings.Contains(e.Password, "\x00") {
					continue
				}
				t.Fatalf("%+v cannot be written: %v", e, err)
			}
			again, err := Parse("f", strings.NewReader(strings.Join(ed.lines, "")))
			if err != nil || len(again.Entries()) != 1 {
				t.Fatalf("%q: %v %v", ed.lines, again.Problems, err)
			}
			got := *again.Entries()[0]
			got.Line = e.Line
			if !reflect.DeepEqual(&got, e) {
				t.Fatalf("%+v became %+v", e, got)
			}
		}
	})
}

// The forms of libpam-pwdfile.
func TestPasswordWithType(t *testing.T) {
	for text, want := range map[string]string{
		"ab.cd[13]": "{CRYPT}ab.cd", "0123[34]": "{PLAIN-MD5}0123", "0123[56]": "{DIGEST-MD5}0123",
		"0123[99]": "0123[99]", "{PLAIN}a[13]": "{PLAIN}a[13]", "a[13": "a[13", "": "",
	} {
		if e, _, err := parseEntry("alice:" + text); err != nil || e.Password != want {
			t.Errorf("%s: %+v %v", text, e, err)
		}
	}
}
