package quota

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// account is a Maildir with a meter whose clock stands still.
type account struct {
	*Meter
	t    *testing.T
	root string
	now  time.Time
}

func newAccount(t *testing.T, rules ...string) *account {
	t.Helper()
	parsed, err := ParseRules(rules)
	if err != nil {
		t.Fatal(err)
	}
	a := &account{t: t, root: filepath.Join(t.TempDir(), "Maildir"), now: time.Now()}
	tree := maildir.NewTree(disk.OS(), a.root, maildir.Options{})
	for _, f := range []string{"INBOX", "Trash", "Spam"} {
		if err := tree.Ensure(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	a.Meter = New(Options{FS: disk.OS(), Tree: tree, Rules: parsed, Now: func() time.Time { return a.now }})
	return a
}

// put makes a message file of so many bytes without telling the meter.
func (a *account) put(folder, name string, size int) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.root, folder, name), make([]byte, size), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *account) file() string {
	text, err := os.ReadFile(filepath.Join(a.root, fileName))
	if err != nil {
		return "(none)"
	}
	return string(text)
}

func (a *account) write(text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.root, fileName), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *account) holds(want Usage) {
	a.t.Helper()
	if u, err := a.Usage(a.t.Context()); err != nil || u != want {
		a.t.Errorf("usage is %+v, %v; want %+v\n%s", u, err, want, a.file())
	}
}

func TestUsageIsCountedOnceAndThenKept(t *testing.T) {
	a := newAccount(t, "*:storage=1M:messages=100", "Spam:ignore")
	a.put("new", "1.M1P1.h,S=1000,W=1010", 3) // the name's size counts: the file may be compressed
	a.put("cur", "2.M1P1.h:2,S", 200)
	a.put(".Trash/cur", "3.M1P1.h,S=50:2,", 50)
	a.put(".Spam/cur", "4.M1P1.h,S=9999:2,", 1)
	a.put("tmp", "5.M1P1.h", 700)
	a.holds(Usage{1250, 3})
	if want := "1048576S,100C\n1250 3\n"; a.file() != want {
		t.Errorf("maildirsize is %q, want %q", a.file(), want)
	}
	for _, c := range []struct {
		folder          string
		bytes, messages int64
	}{{"INBOX", 3237, 1}, {"Trash", -219, -1}, {"Spam", 5000, 1}, {"INBOX", 0, 0}} {
		if err := a.Changed(c.folder, c.bytes, c.messages); err != nil {
			t.Fatal(err)
		}
	}
	if want := "1048576S,100C\n1250 3\n3237 1\n-219 -1\n"; a.file() != want {
		t.Errorf("maildirsize is %q, want %q", a.file(), want)
	}
	a.holds(Usage{1250 + 3237 - 219, 3})
}

// A file that is not to be believed is counted anew.
func TestWhenMailIsCountedAnew(t *testing.T) {
	const header = "1048576S\n"
	for _, c := range []struct {
		name string
		file string
		age  time.Duration
		kept bool
	}{
		{"good", header + "10 1\n5 1\n", 0, true},
		{"of other limits", "999S\n10 1\n", 0, false},
		{"of Courier's form with an empty header", "\n10 1\n", 0, false},
		{"empty", "", 0, false},
		{"only a header", header, 0, false},
		{"cut in the middle of a line", header + "10 1\n5", 0, false},
		{"no numbers", header + "ten 1\n", 0, false},
		{"one number", header + "10\n", 0, false},
		{"below zero", header + "10 1\n-20 -1\n", 0, false},
		{"too long", header + "10 1\n" + strings.Repeat("0 0\n", 1300), 0, false},
		{"numbers that would wrap round", header + strings.Repeat("2305843009213693951 1\n", 5) + "-9223372036854775808 0\n", 0, false},
		{"over, and new", header + "2000000 5\n", time.Minute, true},
		{"over, and old", header + "2000000 5\n", 16 * time.Minute, false},
		{"full to the byte, and old", header + "1048576 5\n", 16 * time.Minute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccount(t, "*:storage=1M")
			a.put("cur", "1.M1P1.h,S=77:2,", 77)
			a.write(c.file)
			a.now = a.now.Add(c.age)
			u, err := a.Usage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if recounted := u == (Usage{77, 1}); recounted == c.kept {
				t.Errorf("usage is %+v; kept should be %t", u, c.kept)
			}
			if want := header + "77 1\n"; !c.kept && a.file() != want {
				t.Errorf("maildirsize is %q, want %q", a.file(), want)
			}
		})
	}
}

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		name            string
		rules, used     string
		folder          string
		bytes, messages int64
		grace           string
		full            bool
	}{
		{"fits to the byte", "*:bytes=1000", "900 1", "INBOX", 100, 1, "", false},
		{"one byte too much", "*:bytes=1000", "900 1", "INBOX", 101, 1, "", true},
		{"within the grace", "*:bytes=1000", "900 1", "INBOX", 150, 1, "50B", false},
		{"within a tenth", "*:bytes=1000", "900 1", "INBOX", 200, 1, "10%", false},
		{"more than a tenth", "*:bytes=1000", "900 1", "INBOX", 201, 1, "10%", true},
		{"no grace for who is full", "*:bytes=1000", "1000 1", "INBOX", 1, 1, "50B", true},
		{"the last message", "*:messages=5", "900 4", "INBOX", 100, 1, "", false},
		{"one message too many", "*:messages=5", "900 5", "INBOX", 100, 1, "", true},
		{"several", "*:messages=5", "900 4", "INBOX", 100, 2, "", true},
		{"more room in Trash", "*:bytes=1000 Trash:bytes=+100", "950 1", "Trash", 100, 1, "", false},
		{"what is ignored", "*:bytes=1000 Spam:ignore", "1000 1", "Spam", 100, 1, "", false},
		{"a replacement that takes less, though it is full", "*:bytes=1000", "1500 1", "INBOX", -1, 0, "", false},
		{"no limits", "Spam:ignore", "", "INBOX", 1 << 40, 1, "", false},
	} {
		a := newAccount(t, strings.Fields(c.rules)...)
		if c.used != "" {
			a.write(a.Limits().header() + "\n" + c.used + "\n")
		}
		grace, err := ParseGrace(c.grace)
		if err != nil {
			t.Fatal(err)
		}
		a.o.Grace = grace
		err = a.Room(t.Context(), c.folder, c.bytes, c.messages)
		var over *Over
		if full := errors.As(err, &over); full != c.full || full && !fail.Is(err, fail.Full) || err != nil && !full {
			t.Errorf("%s: %v, want full %t", c.name, err, c.full)
		}
	}
}

func TestALargeMessage(t *testing.T) {
	m := New(Options{MaxMail: 100})
	if err := m.Fits(101); !fail.Is(err, fail.Full) {
		t.Errorf("a message above max_mail_size: %v", err)
	}
	if err := m.Fits(100); err != nil {
		t.Errorf("a message as large as max_mail_size: %v", err)
	}
}

func TestGraceThatIsNone(t *testing.T) {
	for _, text := range []string{"x", "+1M", "-1", "101%", "%"} {
		if g, err := ParseGrace(text); !fail.Is(err, fail.Invalid) {
			t.Errorf("ParseGrace(%q) = %+v, %v", text, g, err)
		}
	}
}

// Nothing is measured where nothing is limited, and no meter limits nothing.
func TestNoLimits(t *testing.T) {
	a := newAccount(t)
	a.put("cur", "1.M1P1.h,S=77:2,", 77)
	a.holds(Usage{})
	if err := a.Changed("INBOX", 5, 1); err != nil || a.file() != "(none)" {
		t.Errorf("Changed: %v, maildirsize %s", err, a.file())
	}
	var none *Meter
	if err := errors.Join(none.Room(t.Context(), "INBOX", 1<<60, 1), none.Changed("INBOX", 1, 1)); err != nil {
		t.Error(err)
	}
}

// A user without any mail may not have a folder for it yet.
func TestUsageOfANewUser(t *testing.T) {
	a := newAccount(t, "*:bytes=10")
	if err := os.RemoveAll(a.root); err != nil {
		t.Fatal(err)
	}
	a.holds(Usage{})
}

// An account that cannot be read is a temporary failure, never a full one.
func TestUsageThatCannotBeFoundOut(t *testing.T) {
	a := newAccount(t, "*:bytes=10")
	broken := disk.NewFaulty(disk.OS())
	a.o.FS = broken
	for _, op := range []disk.Op{disk.OpOpen, disk.OpReadDir} {
		broken.Add(disk.Fault{Op: op, Forever: true, Err: errors.New("input/output error")})
		if err := a.Room(t.Context(), "INBOX", 5, 1); err == nil || fail.Is(err, fail.Full) || fail.Is(err, fail.NotFound) {
			t.Errorf("%v fails: %v", op, err)
		}
		broken.Clear()
	}
}

func TestASymbolicLinkIsNotFollowed(t *testing.T) {
	a := newAccount(t, "*:bytes=1000")
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("1000S\n1 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(a.root, fileName)); err != nil {
		t.Fatal(err)
	}
	if err := a.Changed("INBOX", 5, 1); err != nil {
		t.Error(err)
	}
	a.holds(Usage{})
	if text, _ := os.ReadFile(victim); string(text) != "1000S\n1 1\n" {
		t.Errorf("the file behind the link became %q", text)
	}
}

func FuzzMaildirsize(f *testing.F) {
	for _, s := range []string{"1000S,5C\n10 1\n-5 -1\n", "\n1 1\n", "5C\n", "S\n", fmt.Sprintf("%dS\n%d 1\n", 1<<61, 1<<61)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, ok := parseSums(text); ok && (s.Bytes < 0 || s.Messages < 0 || s.limits.Bytes < 0 || s.limits.Messages < 0) {
			t.Errorf("%q is %+v", text, s)
		}
	})
}
