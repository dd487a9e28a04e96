package redistable

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
	"github.com/postcote/postcote/pkg/platform/netx/netxtest"
)

// open makes a table of a file with this text.
func open(t *testing.T, settings string) (lookup.Table, *[]text.Problem) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redis.cf")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	var problems []text.Problem
	table, err := Open(path, lookup.Options{Warn: func(p text.Problem) { problems = append(problems, p) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.(interface{ Close() error }).Close() })
	return table, &problems
}

func ask(table lookup.Table, key string) string {
	value, err := table.Lookup(context.Background(), key)
	if err != nil {
		return fail.KindOf(err).String()
	}
	return value
}

func TestLookups(t *testing.T) {
	m := miniredis.RunT(t)
	_ = m.Set("v:joe@ours.example", "ann@ours.example")
	_ = m.Set("v:empty@ours.example", "")
	_ = m.Set("100%:x", "yes")
	m.HSet("aliases", "joe@ours.example", "tom@ours.example")
	m.HSet("user:joe", "home", "/home/joe")
	_, _ = m.SAdd("list:team", "b@far.example", "a@far.example")
	server := "hosts = " + m.Addr() + "\n"
	for _, tc := range []struct{ settings, key, want string }{
		{"prefix = v:", "joe@ours.example", "ann@ours.example"},
		{"prefix = v:", "JOE@Ours.example", "ann@ours.example"},
		{"prefix = v:", "nobody@ours.example", "not found"},
		{"prefix = v:", "empty@ours.example", "not found"},
		{"prefix = 100%:", "x", "yes"},
		{"query = v:%u@%d\nresult_format = <%s>", "joe@ours.example", "<ann@ours.example>"},
		{"query = v:%u@%d", "joe", "not found"}, // a part is missing: nothing is asked
		{"prefix = v:\ndomain = other.example", "joe@ours.example", "not found"},
		{"query = aliases\nfield = %s", "joe@ours.example", "tom@ours.example"},
		{"query = aliases\nfield = %s", "nobody", "not found"},
		{"query = user:%u\nfield = home\ncommand = hget", "joe@x.example", "/home/joe"},
		{"prefix = list:\ncommand = smembers", "team", "a@far.example,b@far.example"},
		{"prefix = list:\ncommand = smembers", "nobody", "not found"},
		{"prefix = list:\ncommand = smembers\nexpansion_limit = 1", "team", "invalid"},
		{"query = %s", "aliases", "unavailable"}, // of another type
		{"prefix = v:", "a\r\nFLUSHALL\r\n", "not found"},
	} {
		table, problems := open(t, server+tc.settings+"\n")
		if got := ask(table, tc.key); got != tc.want {
			t.Errorf("%q, %q: %s, want %s", tc.settings, tc.key, got, tc.want)
		}
		for _, p := range *problems {
			if !strings.Contains(p.Text, "a value is empty") {
				t.Errorf("%q: %v", tc.settings, p)
			}
		}
		if err := lookup.Check(context.Background(), table); err != nil {
			t.Errorf("check: %v", err)
		}
	}
	if n := len(m.Keys()); n != 6 {
		t.Errorf("there are %d keys now", n)
	}
}

// A server that is away is no answer; when it is back, so is the table.
func TestOutage(t *testing.T) {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(netxtest.Port(t)); err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.RequireUserAuth("mtad", "secret")
	_ = m.Set("joe", "ann")
	table, _ := open(t, "host = "+m.Host()+"\nport = "+m.Port()+"\nuser = mtad\npassword = secret\ntimeout = 2\n")
	wrong, _ := open(t, "hosts = "+m.Addr()+"\nuser = mtad\npassword = hidden\n")
	if got := ask(table, "joe"); got != "ann" {
		t.Fatal(got)
	}
	if _, err := wrong.Lookup(context.Background(), "joe"); !fail.Is(err, fail.Unavailable) || strings.Contains(err.Error(), "hidden") {
		t.Error("wrong password:", err)
	}
	m.Close()
	for _, key := range []string{"joe", "nobody"} {
		if got := ask(table, key); got != "unavailable" {
			t.Errorf("%s: %s", key, got)
		}
	}
	if err := lookup.Check(context.Background(), table); !fail.Is(err, fail.Unavailable) {
		t.Error("check:", err)
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for ask(table, "joe") != "ann" {
		if time.Now().After(deadline) {
			t.Fatal("the table does not come back")
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	for settings, want := range map[string]string{
		"hosts = a:1, b:2":                    "cluster = yes",
		"command = keys":                      "command",
		"query = fixed":                       "every key has the same answer",
		"command = get\nfield = x":            "only hget has one",
		"port = x":                            "port",
		"query = %q":                          "query",
		"tls = yes\ntls_ca_cert_file = /none": "tls_ca_cert_file",
		"timeout = 0":                         "timeout",
		"db = -1":                             "db",
	} {
		table, _ := open(t, settings+"\n")
		if _, err := table.Lookup(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", settings, err)
		}
	}
	if _, err := Open("relative.cf", lookup.Options{}); !fail.Is(err, fail.Invalid) {
		t.Error(err)
	}
	if _, problems := func() (lookup.Table, *[]text.Problem) {
		table, p := open(t, "what = x\n")
		_, _ = table.Lookup(context.Background(), "x")
		return table, p
	}(); len(*problems) != 1 {
		t.Errorf("%v", *problems)
	}
}
