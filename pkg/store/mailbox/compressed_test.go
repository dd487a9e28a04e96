package mailbox

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// A message that another program stored compressed reads as if it were not;
// its size is the message's, with and without S= in its name.
func TestCompressedMessage(t *testing.T) {
	h := inMemory(t, Exclusive)
	text := "Subject: packed\n\n" + strings.Repeat("A line with some words in it.\n", 5000)
	store := func(name, data string) {
		f, err := h.fs.OpenFile(filepath.Join(h.cfg.Maildir, "cur", name), os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		_, err = f.Write([]byte(data))
		must(t, err)
		must(t, f.Close())
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write([]byte(text))
	must(t, err)
	must(t, w.Close())
	store(fmt.Sprintf("1795442559.M1P2.x,S=%d,W=%d:2,SZ", len(text), len(text)+strings.Count(text, "\n")), packed.String())
	store("1795442560.M1P2.x:2,S", packed.String())
	store("1795442561.M1P2.x:2,S", packed.String()[:packed.Len()/2])
	m := h.box("INBOX")
	for uid := uint32(1); uid <= 2; uid++ {
		if got := h.read(m, uid); got != text {
			t.Errorf("message %d has %d bytes: %.40q", uid, len(got), got)
		}
		x, err := m.Resolve(bg, m.Snapshot(), int(uid)-1)
		lines := int64(strings.Count(text, "\n"))
		if err != nil || x.Size != int64(len(text)) || x.VSize != int64(len(text))+lines {
			t.Errorf("message %d: %+v %v", uid, x, err)
		}
		a := m.Ahead(bg, SetOf(uid), []string{"Subject"}, true)
		if e, err := a.Entry(bg, uid); err != nil || !bytes.Contains(e.Envelope, []byte("packed")) {
			t.Errorf("message %d, its header: %s %v", uid, e.Envelope, err)
		}
		a.Stop()
		env, err := m.AppendEnvelope(bg, nil, uid)
		if err != nil || !bytes.Contains(env, []byte("packed")) {
			t.Errorf("message %d: %s %v", uid, env, err)
		}
	}
	if _, err := m.OpenMessage(bg, 3); !fail.Is(err, fail.Corrupt) {
		t.Errorf("half a file: %v", err)
	}
	// Copies are what they are copies of.
	must(t, h.acct.Create(bg, "Copy"))
	_, err = m.Copy(bg, SetOf(1, 2), "Copy")
	must(t, err)
	c := h.box("Copy")
	if h.read(c, 1) != text || h.read(c, 2) != text {
		t.Error("a copy reads otherwise")
	}
	must(t, h.store.Close(bg))
}
