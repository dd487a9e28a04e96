package mailbox

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
	"github.com/postcote/postcote/pkg/store/cache"
)

// Whoever asks first for a message that was appended, copied or delivered while
// the folder is open waits for no file.
func TestNewMessagesAreReadInTheBackground(t *testing.T) {
	h := inMemory(t, Exclusive)
	m := h.box("INBOX")
	first := h.append("INBOX", "Subject: one\n\nx\n", Incoming{})
	_, err := m.Full(bg, first) // previews are wanted from now on
	must(t, err)
	h.deliver("INBOX", "Subject: two\n\nSee you.\n", 0)
	must(t, m.Sync(bg))
	_, err = m.Copy(bg, SetOf(first), "INBOX")
	must(t, err)
	m.box.cache.Settle()
	for _, dir := range []string{"cur/", "new/"} {
		files, err := h.fs.ReadDir(h.cfg.Maildir + "/" + dir)
		must(t, err)
		for _, f := range files {
			must(t, h.fs.Remove(h.cfg.Maildir+"/"+dir+f.Name()))
		}
	}
	for uid, subject := range map[uint32]string{1: "one", 2: "two", 3: "one"} {
		if env, err := m.AppendEnvelope(bg, nil, uid); err != nil || !strings.Contains(string(env), subject) {
			t.Errorf("message %d: %s %v", uid, env, err)
		}
	}
	if e, err := m.Full(bg, 2); err != nil || string(e.Preview) != "See you." {
		t.Errorf("preview %q %v", e.Preview, err)
	}
}

// A message that was appended is read while it is in memory: its entry is there
// when the client has its answer, and no file was opened. Large ones are read in
// the background.
func TestAnAppendedMessageIsKnownAtOnce(t *testing.T) {
	h := inMemory(t, Exclusive)
	m := h.box("INBOX")
	uid := h.append("INBOX", "Subject: small\r\n\r\nx\r\n", Incoming{})
	if e, ok := m.Kept(uid); !ok || !strings.Contains(string(e.Envelope), "small") {
		t.Errorf("%v %s", ok, e.Envelope)
	}
	uid = h.append("INBOX", "Subject: large\r\n\r\n"+strings.Repeat("0123456789\r\n", 10_000), Incoming{})
	m.box.cache.Settle()
	if e, ok := m.Kept(uid); !ok || !strings.Contains(string(e.Envelope), "large") {
		t.Errorf("%v %s", ok, e.Envelope)
	}
}

// Closing does not wait for what is read in the background, nor does that
// outlive it.
func TestCloseWhileReadingInTheBackground(t *testing.T) {
	h := inMemory(t, Exclusive)
	for round := range 20 {
		m := h.box("INBOX")
		for i := range 10 {
			h.deliver("INBOX", fmt.Sprintf("Subject: %d %d\n\n", round, i), 0)
		}
		must(t, m.Sync(bg))
		h.reopen()
	}
	if n := h.box("INBOX").Snapshot().Len(); n != 200 {
		t.Errorf("%d messages", n)
	}
}

// Of a message whose sizes its name says, header fields cost no more than a look
// at its beginning; all else is what it would have been without.
func TestHeaderFieldsAlone(t *testing.T) {
	head := "From: a@x\nSubject: s\nX-Long: " + strings.Repeat("long\n ", 100) + "end\n"
	body := "\n--b\nContent-Type: text/plain\n\none\ntwo\n--b--\n"
	for name, c := range map[string]struct {
		name, text string
		brief      bool
	}{
		"usual":          {"", head + "Content-Type: multipart/mixed; boundary=b\n" + body, true},
		"CRLF":           {"", strings.ReplaceAll(head+body, "\n", "\r\n"), true},
		"no size":        {"1795442559.M1P2.x", head + body, false},
		"a long header":  {"", strings.Repeat(head, 20) + body, false},
		"a header alone": {"", head, false},
		"nothing":        {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			h := inMemory(t, Exclusive)
			if c.name == "" {
				c.name = fmt.Sprintf("1795442559.M1P2.x,S=%d,W=%d", len(c.text), len(c.text)+strings.Count(c.text, "\n")-strings.Count(c.text, "\r\n"))
			}
			f, err := h.fs.OpenFile(h.cfg.Maildir+"/cur/"+c.name+":2,S", os.O_WRONLY|os.O_CREATE, 0o600)
			must(t, err)
			_, err = f.Write([]byte(c.text))
			must(t, err)
			must(t, f.Close())
			m := h.box("INBOX")
			s := m.Snapshot()
			a := m.Ahead(bg, SetOf(1), []string{"Subject"}, true)
			e, err := a.Entry(bg, 1)
			must(t, err)
			if e.Whole() == c.brief {
				t.Errorf("the structure is known: %v", e.Whole())
			}
			whole, err := message.ParseStructure(strings.NewReader(c.text), message.DefaultLimits())
			must(t, err)
			raw, _ := e.Fields("Subject")
			if string(e.Envelope) != string(whole.Envelope) || c.text != "" && !strings.Contains(string(raw), "Subject: s") {
				t.Errorf("envelope %s, fields %.40q", e.Envelope, raw)
			}
			a.Stop()
			x, err := m.Resolve(bg, s, 0)
			must(t, err)
			if x.Size != int64(len(c.text)) || x.VSize != whole.VSize() || x.Date.IsZero() {
				t.Errorf("it has %d bytes, %d with CRLF, of %v", x.Size, x.VSize, x.Date)
			}
			got, err := m.AppendBodyStructure(bg, nil, 1, true)
			if want := message.AppendBodyStructure(nil, whole, true); err != nil || string(got) != string(want) {
				t.Errorf("structure %s, want %s: %v", got, want, err)
			}
			must(t, h.store.Close(bg))
		})
	}
}

func TestSaveDate(t *testing.T) {
	h := inMemory(t, Exclusive)
	h.deliver("INBOX", "before we had the folder\n", 0)
	m := h.box("INBOX")
	begin := h.clock.now()
	h.append("INBOX", "x\n", Incoming{})
	h.deliver("INBOX", "y\n", 0)
	must(t, m.Sync(bg))
	for _, what := range []string{"at once", "after reopening"} {
		s := m.Snapshot()
		if !s.At(0).Saved.IsZero() {
			t.Errorf("%s: message 1 was saved %v, which nobody can know", what, s.At(0).Saved)
		}
		for i := 1; i < 3; i++ {
			if at := s.At(i).Saved; at.Unix() < begin.Unix() || at.After(h.clock.now()) {
				t.Errorf("%s: message %d was saved %v, not after %v", what, i+1, at, begin)
			}
		}
		h.reopen()
		m = h.box("INBOX")
	}
}

// An index that is made anew knows nothing of the cache, and the other way
// round: UIDs may be others now.
func TestRebuildForgetsTheCache(t *testing.T) {
	h := inMemory(t, Exclusive)
	m := h.box("INBOX")
	h.append("INBOX", "Subject: old\n\n", Incoming{})
	m.box.cache.Settle()
	m.box.ix.Condemn()
	h.reopen()
	m = h.box("INBOX")
	hits, open := []uint64{0}, []uint64{1}
	m.Search(bg, m.Snapshot(), &cache.Query{Field: "Subject", Needle: []byte("OLD")}, hits, open)
	if hits[0] != 0 || open[0] != 1 {
		t.Errorf("the columns were kept: %b %b", hits, open)
	}
	var got []string
	must(t, m.EachKeys(bg, nil, func(_ uint32, k *digest.Keys) bool {
		got = append(got, k.Subject)
		return true
	}))
	if fmt.Sprint(got) != "[OLD]" {
		t.Errorf("keys %q", got)
	}
}
