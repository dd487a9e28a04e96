package tables

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
	"github.com/postcote/postcote/pkg/platform/obs"
)

func TestTypes(t *testing.T) {
	s := New(Events{})
	defer func() { _ = s.Close() }()
	for spec, ok := range map[string]bool{
		"socketmap:unix:/run/x:map": true, "socketmap:inet:host:1:map": true, "socketmap:/run/x": false,
		"tcp:localhost:1": true, "tcp:x": false,
		"mysql:/etc/x.cf": true, "pgsql:/etc/x.cf": true, "sqlite:/etc/x.cf": true, "mysql:x": false,
		"proxy:mysql:/etc/x.cf": true, "unionmap:{static:a,socketmap:unix:/run/x:map}": true, "nope:x": false,
	} {
		table, err := s.Open(spec)
		if (err == nil) != ok || (err != nil && !fail.Is(err, fail.Invalid)) {
			t.Errorf("%s: %v", spec, err)
		}
		if err == nil && spec[:3] != "uni" {
			if _, err := table.Lookup(t.Context(), "x"); !fail.Is(err, fail.Unavailable) {
				t.Errorf("%s: %v", spec, err)
			}
		}
	}
}

// A table is shared while a configuration or the one before uses it.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t")
	if err := os.WriteFile(file, []byte("a b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(Events{})
	first, err := s.Open("texthash:" + file)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := s.Open("unionmap:{proxy:texthash:" + file + "}")
	if err != nil || len(s.open) != 2 {
		t.Fatal(err, len(s.open))
	}
	if v, err := inside.Lookup(t.Context(), "a"); v != "b" || err != nil {
		t.Error(v, err)
	}
	s.Renew()
	again, _ := s.Open("hash:" + file)
	if same, _ := s.Open("texthash:" + file); same != first || same == again {
		t.Error("not shared")
	}
	s.Renew()
	if len(s.open) != 2 {
		t.Errorf("%d tables are open, the unionmap should not be", len(s.open))
	}
	s.Renew()
	if len(s.open) != 0 || s.Close() != nil {
		t.Errorf("%d tables are open", len(s.open))
	}
}

func TestKeepCaseIsAnotherTable(t *testing.T) {
	s := New(Events{})
	o := s.Options()
	o.KeepCase = true
	a, _ := s.Open("inline:{A=x}")
	if _, err := a.Lookup(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if len(s.open) != 1 {
		t.Error(len(s.open))
	}
}

// A table with ten thousand bad lines does not fill the log.
func TestFewProblemsAreLogged(t *testing.T) {
	l, r := obs.Capture()
	e := Log(l)
	for i := range 10 * maxLogged {
		e.Problem(text.Problem{Source: "/etc/t", Line: i + 1, Text: "bad"})
	}
	events := r.Events()
	if len(events) != maxLogged+1 {
		t.Fatalf("%d lines", len(events))
	}
	if _, line := events[maxLogged].Classic(); !strings.Contains(line, "mtad table check") {
		t.Error(line)
	}
}
