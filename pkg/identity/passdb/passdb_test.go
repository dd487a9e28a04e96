package passdb

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// counter hashes on the spot and counts.
type counter struct {
	n    int
	full bool
}

func (c *counter) Verify(_ context.Context, h scheme.Hash, password string) (bool, error) {
	if c.full {
		return false, fail.New(fail.Unavailable, "queue is full")
	}
	c.n++
	return h.Verify(&scheme.Workspace{}, password), nil
}

type down struct{}

func (down) Name() string { return "down" }

func (down) Lookup(context.Context, string) (Account, error) {
	return Account{}, fail.New(fail.Temporary, "cannot connect")
}

const users = `alice:{PLAIN}pw::::::allow_nets=192.0.2.0/24,2001:db8::1,local nologin
bob:{PLAIN}pw
both:{PLAIN}one
locked:!{PLAIN}pw
none::
odd:{NTLM}pw
broken:{PLAIN}pw:x
nets:{PLAIN}pw::::::allow_nets=192.0.2.0/33
`

func newChecker(t *testing.T, dbs ...DB) (*Checker, *counter) {
	t.Helper()
	decoy, err := scheme.Parse("{PLAIN}decoy", scheme.Policy{Allow: []string{"PLAIN"}})
	if err != nil {
		t.Fatal(err)
	}
	n := &counter{}
	return &Checker{DBs: dbs, Hasher: n, Decoy: decoy, Policy: scheme.Policy{Allow: []string{"PLAIN"}}}, n
}

func fileDB(t *testing.T, text string) *File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return NewFile(passwdfile.Open(path, nil))
}

func TestVerify(t *testing.T) {
	first, second := fileDB(t, users), fileDB(t, "both:{PLAIN}two\nlocked:{PLAIN}second\n")
	for _, tc := range []struct {
		name, user, password, from string
		dbs                        []DB
		want                       string // "ok", a reason, or "outage"
	}{
		{"right", "bob", "pw", "", []DB{first}, "ok"},
		{"wrong", "bob", "no", "", []DB{first}, "Password mismatch"},
		{"empty", "bob", "", "", []DB{first}, "Password mismatch"},
		{"nobody", "nobody", "pw", "", []DB{first}, "unknown user"},
		{"locked", "locked", "pw", "", []DB{first}, "account is locked"},
		{"no stored password", "none", "", "", []DB{first}, "account is locked"},
		{"a scheme we lack is not the user's fault", "odd", "pw", "", []DB{first}, "outage"},
		{"a broken line neither", "broken", "pw", "", []DB{first}, "outage"},
		{"in the second", "both", "two", "", []DB{first, second}, "ok"},
		{"in the first", "both", "one", "", []DB{first, second}, "ok"},
		{"in neither", "both", "three", "", []DB{first, second}, "Password mismatch"},
		{"locked in the first", "locked", "second", "", []DB{first, second}, "ok"},
		{"down hides nothing", "bob", "pw", "", []DB{down{}, first}, "ok"},
		{"down could have known better", "bob", "no", "", []DB{first, down{}}, "outage"},
		{"down could have known", "nobody", "no", "", []DB{down{}, first}, "outage"},
		{"network", "alice", "pw", "192.0.2.7", []DB{first}, "ok"},
		{"mapped network", "alice", "pw", "::ffff:192.0.2.7", []DB{first}, "ok"},
		{"address", "alice", "pw", "2001:db8::1", []DB{first}, "ok"},
		{"other network", "alice", "pw", "198.51.100.1", []DB{first}, "allow_nets check failed"},
		{"other network, wrong password", "alice", "no", "198.51.100.1", []DB{first}, "Password mismatch"},
		{"no address", "alice", "pw", "", []DB{first}, "ok"},
		{"networks that cannot be read", "nets", "pw", "192.0.2.1", []DB{first}, "outage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, n := newChecker(t, tc.dbs...)
			q := Query{User: tc.user, Password: tc.password}
			if tc.from != "" {
				q.Remote = netip.MustParseAddr(tc.from)
			}
			a, err := c.Verify(t.Context(), q)
			got := "outage"
			if err == nil {
				got = "ok"
			} else if r := RefusedOf(err); r != nil {
				got = r.Reason.String()
				if !fail.Is(err, fail.Denied) || r.DB != "passwd-file" {
					t.Errorf("%v", err)
				}
			}
			if got != tc.want || (err == nil && a.User != tc.user) {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
			if n.n == 0 {
				t.Error("no hash was computed: the time tells")
			}
		})
	}
}

func TestFullQueueIsNoRefusal(t *testing.T) {
	c, n := newChecker(t, fileDB(t, users))
	n.full = true
	for _, user := range []string{"bob", "nobody", "locked"} {
		if _, err := c.Verify(t.Context(), Query{User: user, Password: "pw"}); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestCache(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("bob:{PLAIN}pw\neve:{PLAIN}pw\n")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c, n := newChecker(t, NewFile(passwdfile.Open(path, nil)))
	c.Cache = NewCache(time.Minute, 2, func() time.Time { return now })
	try := func(what, user, password string, ok bool, hashes int) {
		t.Helper()
		n.n = 0
		if _, err := c.Verify(t.Context(), Query{User: user, Password: password}); (err == nil) != ok || n.n != hashes {
			t.Errorf("%s: %v after %d hashes", what, err, n.n)
		}
	}
	try("first time", "bob", "pw", true, 1)
	try("again", "bob", "pw", true, 0)
	try("another password", "bob", "no", false, 1)
	try("failures are not kept", "bob", "no", false, 1)
	try("another user with the same hash", "eve", "pw", true, 1)
	now = now.Add(61 * time.Second)
	try("later", "bob", "pw", true, 1)
	write("bob:{PLAIN}new\neve:{PLAIN}pw\n")
	try("changed", "bob", "pw", false, 1)
	try("changed", "bob", "new", true, 1)
	try("a third check pushes the oldest out", "eve", "pw", true, 1)
	if c.Cache.Len() != 2 {
		t.Errorf("%d checks are kept", c.Cache.Len())
	}
	if got := c.Cache.Flush([]string{"eve", "nobody"}); got != 1 {
		t.Errorf("flushed %d", got)
	}
	try("after the flush", "eve", "pw", true, 1)
	if got := c.Cache.Flush(nil); got != 2 || c.Cache.Len() != 0 {
		t.Errorf("flushed %d", got)
	}
	var none *Cache
	if none = NewCache(0, 10, time.Now); none != nil || none.Flush(nil) != 0 || none.Len() != 0 {
		t.Error("a cache without life")
	}
}

// The parts of a key cannot be shifted into each other.
func TestCacheKeyParts(t *testing.T) {
	c := NewCache(time.Minute, 10, time.Now)
	c.remember("db", "bo", "bstored", "pw")
	for _, parts := range [][4]string{
		{"db", "bob", "stored", "pw"},
		{"d", "bbo", "bstored", "pw"},
		{"db", "bo", "bstore", "dpw"},
		{"other", "bo", "bstored", "pw"},
	} {
		if c.verified(parts[0], parts[1], parts[2], parts[3]) {
			t.Errorf("%q passes for another check", parts)
		}
	}
	if !c.verified("db", "bo", "bstored", "pw") {
		t.Error("the check itself is forgotten")
	}
}

func TestLookup(t *testing.T) {
	c, _ := newChecker(t, down{}, fileDB(t, users))
	if a, err := c.Lookup(t.Context(), "alice"); err != nil || a.User != "alice" {
		t.Error(a, err)
	}
	if _, err := c.Lookup(t.Context(), "nobody"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	c.DBs = c.DBs[1:]
	if _, err := c.Lookup(t.Context(), "nobody"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}
