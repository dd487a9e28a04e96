package mailbox

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/quota"
)

// limited is a house whose account has rules.
func limited(t *testing.T, mode Mode, rules ...string) *house {
	h := inMemory(t, mode)
	parsed, err := quota.ParseRules(rules)
	must(t, err)
	h.cfg.Quota = parsed
	h.reopen()
	return h
}

func (h *house) used(bytes, messages int64) {
	h.t.Helper()
	u, err := h.acct.Meter().Usage(bg)
	must(h.t, err)
	if want := (quota.Usage{Bytes: bytes, Messages: messages}); u != want {
		h.t.Errorf("usage is %+v, want %+v", u, want)
	}
}

// tryAppend is append without the will that it works.
func (h *house) tryAppend(folder, body string) error {
	p, err := h.acct.Append(bg, folder)
	must(h.t, err)
	defer p.Abort()
	if err := p.Add(bg, Incoming{}, strings.NewReader(body)); err != nil {
		return err
	}
	_, _, err = p.Commit(bg)
	return err
}

func wantOver(t *testing.T, what string, err error) {
	t.Helper()
	if !quota.IsOver(err) {
		t.Errorf("%s: %v, want an error that says the account is full", what, err)
	}
}

func TestQuota(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		h := limited(t, mode, "*:bytes=30:messages=3", "Spam:ignore")
		for _, f := range []string{"Trash", "Spam"} {
			must(t, h.acct.Create(bg, f))
		}
		m := h.box("INBOX")
		h.append("INBOX", "0123456789", Incoming{})
		h.append("INBOX", "0123456789", Incoming{})
		h.used(20, 2)

		wantOver(t, "11 bytes more", h.tryAppend("INBOX", "0123456789X"))
		h.see(m, "1: 2:")
		h.used(20, 2)
		must(t, h.tryAppend("Spam", strings.Repeat("x", 100))) // does not count
		h.used(20, 2)

		h.append("INBOX", "012345678", Incoming{})
		_, err := m.Copy(bg, SetOf(1), "Trash")
		wantOver(t, "a copy", err)
		_, err = m.Move(bg, SetOf(1), "Trash") // takes no more than it gives
		must(t, err)
		h.used(29, 3)
		_, err = m.Move(bg, SetOf(2), "Spam")
		must(t, err)
		h.used(19, 2)
		spam := h.box("Spam")
		must(t, spam.Sync(bg))
		_, err = spam.Move(bg, SetOf(1), "INBOX") // brings in 100 bytes that did not count
		wantOver(t, "a move from where nothing counts", err)

		_, err = m.Remove(bg, SetOf(3))
		must(t, err)
		h.used(10, 1)
		must(t, h.acct.Delete(bg, "Trash"))
		h.used(0, 0)
	}
}

// What is counted from scratch and what was kept up by the way are the same.
func TestQuotaIsWhatACountWouldFind(t *testing.T) {
	h := limited(t, Exclusive, "*:bytes=1000")
	must(t, h.acct.Create(bg, "Trash"))
	m := h.box("INBOX")
	h.deliver("INBOX", "by others\r\nbefore the first count\r\n", 0)
	h.append("INBOX", "one\r\ntwo\r\n", Incoming{})
	h.append("INBOX", "three\r\n", Incoming{Flags: Seen})
	must(t, m.Sync(bg))
	_, err := m.Copy(bg, SetOf(1, 2), "Trash")
	must(t, err)
	_, err = m.Remove(bg, SetOf(2))
	must(t, err)
	kept, err := h.acct.Meter().Usage(bg)
	must(t, err)
	h.reopen() // removes what was expunged
	counted, err := h.acct.Meter().Recalculate(bg)
	must(t, err)
	if kept != counted {
		t.Errorf("kept %+v, counted %+v", kept, counted)
	}
}

// What a message replaces is room for it (RFC 8508 section 3.4), and nothing
// but that message goes.
func TestReplace(t *testing.T) {
	for _, mode := range []Mode{Exclusive, Shared} {
		h := limited(t, mode, "*:bytes=30:messages=3")
		must(t, h.acct.Create(bg, "Drafts"))
		m := h.box("INBOX")
		for range 3 {
			h.append("INBOX", "0123456789", Incoming{Flags: Deleted})
		}
		replace := func(uid uint32, folder, body string) error {
			p, err := m.Replace(bg, uid, folder)
			if err != nil {
				return err
			}
			defer p.Abort()
			if err := p.Add(bg, Incoming{Flags: Draft}, strings.NewReader(body)); err != nil {
				return err
			}
			_, _, err = p.Commit(bg)
			return err
		}
		wantOver(t, "more than what goes", replace(2, "INBOX", "0123456789X"))
		h.see(m, "1:T 2:T 3:T")
		must(t, replace(2, "INBOX", "0123456789"))
		h.see(m, "1:T 3:T 4:D")
		must(t, replace(3, "Drafts", "new"))
		h.see(m, "1:T 4:D")
		h.see(h.box("Drafts"), "1:D")
		h.used(23, 3)
		wantKind(t, "a message that is gone", replace(3, "INBOX", "x"), fail.NotFound)
		wantKind(t, "a folder that is not there", replace(1, "Nowhere", "x"), fail.NotFound)
	}
}
