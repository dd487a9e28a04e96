package quota

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (a *account) text(folder, name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.root, folder, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A message counts as large as it is, whatever its file is: as Dovecot counts.
func TestSizesThatCount(t *testing.T) {
	letter := strings.Repeat("A line of a message.\n", 100)
	for _, c := range []struct {
		what, name, text, list string
		want                   int64
	}{
		{"the name says it", "1.M1P1.h,S=4321", letter, "", 4321},
		{"the name before the list", "1.M1P1.h,S=4321", letter, "S77", 4321},
		{"the file", "1.M1P1.h", letter, "", 2100},
		{"the list", "1.M1P1.h", letter, "S77 W99", 77},
		{"the list knows something else", "1.M1P1.h", letter, "W99", 2100},
		{"the list is not understood", "1.M1P1.h", letter, "Sx", 2100},
		{"compressed, the name says it", "1.M1P1.h,S=2100", gzipped(t, letter), "", 2100},
		{"compressed, the list says it", "1.M1P1.h", gzipped(t, letter), "S2100", 2100},
		{"compressed, nothing says it", "1.M1P1.h", gzipped(t, letter), "", 2100},
		{"compressed and damaged", "1.M1P1.h", gzipped(t, letter)[:20], "", 20},
	} {
		a := newAccount(t, "*:storage=1M")
		a.text("cur", c.name+":2,S", c.text)
		if c.list != "" {
			a.text("", "dovecot-uidlist", fmt.Sprintf("3 V1 N9 G68f162117f47046bb94e000083ecc375\n7 %s :%s\n", c.list, c.name))
		}
		if u, err := a.Count(t.Context()); err != nil || u != (Usage{c.want, 1}) {
			t.Errorf("%s: %+v, %v; want %d", c.what, u, err, c.want)
		}
	}
}

// A count does not expand for ever.
func TestExpandingHasAnEnd(t *testing.T) {
	a := newAccount(t)
	letter := strings.Repeat("A line of a message.\n", 10)
	small := gzipped(t, letter)
	for i := range 8 {
		a.text("cur", fmt.Sprintf("%d.M1P1.h", i), small)
	}
	inbox, err := a.o.Tree.Folder("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	c := counting{m: a.Meter, expanded: maxExpanded - 5}
	if err := c.folder(t.Context(), inbox); err != nil || c.sum != (Usage{int64(5*len(letter) + 3*len(small)), 8}) {
		t.Errorf("%+v, %v", c.sum, err)
	}
}

// Count looks at no file of sums and leaves none; Recalculate mends it, and
// leaves none where nothing is limited.
func TestCountAndRecalculate(t *testing.T) {
	for _, c := range []struct{ rules, before, after string }{
		{"*:storage=1M", "1048576S\n5 1\n", "1048576S\n77 1\n"},
		{"Spam:ignore", "1048576S\n5 1\n", "(none)"},
	} {
		a := newAccount(t, c.rules)
		a.put("cur", "1.M1P1.h,S=77:2,", 77)
		a.write(c.before)
		for what, count := range map[string]func() (Usage, error){
			c.before: func() (Usage, error) { return a.Count(t.Context()) },
			c.after:  func() (Usage, error) { a.write(c.before); return a.Recalculate(t.Context()) },
		} {
			if u, err := count(); err != nil || u != (Usage{77, 1}) || a.file() != what {
				t.Errorf("%s: %+v, %v, maildirsize is %q, want %q", c.rules, u, err, a.file(), what)
			}
			a.write(c.before)
		}
	}
}
