package session

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// get believes the kept sums, recalc counts; without limits both count.
func TestQuotaVerb(t *testing.T) {
	for _, limited := range []bool{true, false} {
		w := newWorld(t, func(c *Config) {
			if limited {
				c.Quota.Rules = []string{"*:storage=2048B:messages=10"}
			}
		})
		if err := w.deliver("alice", "one", false); err != nil {
			t.Fatal(err)
		}
		kept := filepath.Join(w.maildir("alice"), "maildirsize")
		if limited {
			if err := os.WriteFile(kept, []byte("2048S,10C\n1024 5\n"), 0o660); err != nil {
				t.Fatal(err)
			}
		}
		var got, counted quotaLine
		for _, k := range []struct {
			op   string
			line *quotaLine
		}{{"get", &got}, {"recalc", &counted}} {
			out, err := w.verb("QUOTA", k.op, "alice")
			if err != nil || len(out) != 1 || json.Unmarshal([]byte(out[0]), k.line) != nil {
				t.Fatal(k.op, out, err)
			}
		}
		if counted.Messages != 1 || counted.Bytes == 0 || counted.User != "alice" || counted.Name != "User quota" {
			t.Errorf("limited %v, counted: %+v", limited, counted)
		}
		want := quotaLine{"alice", "User quota", 1024, 2048, 5, 10}
		if !limited {
			want = counted
		}
		if got != want {
			t.Errorf("limited %v: %+v, want %+v", limited, got, want)
		}
		if _, err := os.Stat(kept); (err == nil) != limited {
			t.Errorf("limited %v: maildirsize: %v", limited, err)
		}
	}
	w := newWorld(t, nil)
	for words, kind := range map[string]fail.Kind{"": fail.Invalid, "get": fail.Invalid, "put alice": fail.Invalid, "get alice bob": fail.Invalid, "get nobody": fail.NotFound} {
		if _, err := w.verb("QUOTA", strings.Fields(words)...); !fail.Is(err, kind) {
			t.Errorf("QUOTA %s: %v, want %v", words, err, kind)
		}
	}
}

func TestQuotaTable(t *testing.T) {
	for _, k := range []struct {
		line quotaLine
		want string
	}{
		{
			quotaLine{"alice", "User quota", 1500, 2048, 3, 10},
			"quota name  type     value  limit  %\n" +
				"User quota  STORAGE  2      2      73\n" +
				"User quota  MESSAGE  3      10     30\n",
		},
		{
			quotaLine{"alice", "User quota", 1 << 20, 0, 3, 0},
			"quota name  type     value  limit  %\n" +
				"User quota  STORAGE  1024   -      0\n" +
				"User quota  MESSAGE  3      -      0\n",
		},
	} {
		var b bytes.Buffer
		if err := k.line.print(&b); err != nil || b.String() != k.want {
			t.Errorf("%v\n%s", err, b.String())
		}
	}
}
