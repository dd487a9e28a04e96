package mailbox

import (
	"os"
	"strings"
	"testing"
)

// Check names what is wrong, Repair makes it right, and no UID or flag changes.
func TestCheckAndRepair(t *testing.T) {
	for _, k := range []struct {
		name, want string // a problem; empty: none
		harm       func(t *testing.T, h *house, cur string)
	}{
		{"healthy", "", func(*testing.T, *house, string) {}},
		{"a stray file", "is not in the index", func(t *testing.T, h *house, cur string) {
			must(t, os.WriteFile(cur+"/1800000000.M1P1.x:2,F", []byte("A: b\n\nx\n"), 0o660))
		}},
		{"a file that is gone", "has no file", func(t *testing.T, h *house, cur string) {
			must(t, os.Remove(cur+"/"+firstFile(t, cur)))
		}},
		{"flags in a name", "does not know what its file", func(t *testing.T, h *house, cur string) {
			f := firstFile(t, cur)
			must(t, os.Rename(cur+"/"+f, cur+"/"+strings.Replace(f, ":2,S", ":2,FS", 1)))
		}},
		{"a damaged UID list", "no record", func(t *testing.T, h *house, cur string) {
			name := cur + "/../dovecot-uidlist"
			text, err := os.ReadFile(name)
			must(t, err)
			must(t, os.WriteFile(name, []byte(strings.Replace(string(text), "\n2 ", "\nzwei ", 1)), 0o660))
		}},
	} {
		t.Run(k.name, func(t *testing.T) {
			h := onDisk(t)
			for range 3 {
				h.deliver("INBOX", "A: b\n\nx\n", Seen)
			}
			must(t, h.acct.Repair(bg, "INBOX"))
			before := h.uids("INBOX")
			cur := h.cfg.Maildir + "/cur"
			k.harm(t, h, cur)
			v, err := h.acct.Check(bg, "INBOX", nil)
			must(t, err)
			if got := strings.Join(v.Problems, "\n"); (k.want == "") != (got == "") || !strings.Contains(got, k.want) {
				t.Fatalf("found %q, want %q", got, k.want)
			}
			must(t, h.acct.Repair(bg, "INBOX"))
			if v, err = h.acct.Check(bg, "INBOX", nil); err != nil || len(v.Problems) > 0 {
				t.Errorf("after the repair: %q %v", v.Problems, err)
			}
			for _, uid := range h.uids("INBOX") {
				if uid > before[len(before)-1]+1 {
					t.Errorf("UIDs were %v and are %v", before, h.uids("INBOX"))
				}
			}
		})
	}
}

// Rebuild keeps UIDs, UIDVALIDITY and flags, MODSEQs do not fall, and a
// session that was there is told to open the folder again.
func TestRebuildFolder(t *testing.T) {
	h := onDisk(t)
	for range 3 {
		h.deliver("INBOX", "A: b\n\nx\n", Seen)
	}
	m, err := h.acct.Open(bg, "INBOX")
	must(t, err)
	must(t, m.Sync(bg))
	_, err = m.Store(bg, SetOf(2), Change{Op: Add, Flags: Flagged, UnchangedSince: NoCondition})
	must(t, err)
	was := m.Snapshot()
	must(t, h.acct.Rebuild(bg, "INBOX"))
	if m.Err() == nil {
		t.Error("the session's handle still works")
	}
	must(t, m.Close())
	m, err = h.acct.Open(bg, "INBOX")
	must(t, err)
	defer m.Close()
	s := m.Snapshot()
	if s.Len() != 3 || s.UIDValidity() != was.UIDValidity() || s.At(1).Flags != Flagged|Seen || s.UID(2) != was.UID(2) || s.HighestModSeq() < was.HighestModSeq() {
		t.Errorf("was %d messages, HIGHESTMODSEQ %d; is %d, %d, flags %v", was.Len(), was.HighestModSeq(), s.Len(), s.HighestModSeq(), s.At(1).Flags)
	}
}

func firstFile(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	if len(list) == 0 {
		t.Fatal("no file in " + dir)
	}
	return list[0].Name()
}

func (h *house) uids(folder string) (out []uint32) {
	h.t.Helper()
	m, err := h.acct.Open(bg, folder)
	must(h.t, err)
	defer m.Close()
	must(h.t, m.Sync(bg))
	s := m.Snapshot()
	for i := range s.Len() {
		out = append(out, s.UID(i))
	}
	return out
}
