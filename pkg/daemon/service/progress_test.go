package service

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out strings.Builder
	now := time.Unix(1_800_000_000, 0)
	p := &Progress{out: &out, what: "folders", total: 200, now: func() time.Time { return now }, begun: now}
	p.Add(10)
	if out.Len() > 0 {
		t.Fatalf("a quick command shows %q", out.String())
	}
	now = now.Add(2 * time.Second)
	p.Add(40)
	p.Add(1) // at once: not drawn
	if got := out.String(); got != "\rfolders [#######.......................]  25 %, 6s left" {
		t.Errorf("%q", got)
	}
	out.Reset()
	now = now.Add(time.Second)
	p.Set("INBOX\x1b[2J", 7, 0)
	if got := out.String(); !strings.HasPrefix(got, "\rINBOX?[2J: 7 ") || strings.Contains(got, "\x1b") {
		t.Errorf("%q does not cover what was there", got)
	}
	out.Reset()
	p.Clear()
	p.Clear()
	if got := out.String(); strings.Trim(got, " \r") != "" || strings.Count(got, "\r") != 2 {
		t.Errorf("%q", got)
	}
}

// What goes to a file or a pipe has no bar in it.
func TestProgressOnlyOnTerminals(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewProgress(f, "x", 10)
	p.begun = p.begun.Add(-time.Minute)
	p.Add(5)
	p.Clear()
	(&Progress{}).Clear()
	if info, err := f.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("%v %v", info, err)
	}
}
