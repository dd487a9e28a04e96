package takeover

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/index/dovecot"
)

// message notes what the name of a message, and for the first ones of a tree
// its first bytes, say.
func (w *walk) message(name string) {
	w.rep.Messages++
	base, _, _ := strings.Cut(path.Base(name), ":")
	if !strings.Contains(base, ",S=") || !strings.Contains(base, ",W=") {
		w.rep.lacking++
	}
	if w.rep.Messages <= maxSampled || w.rep.Messages%1000 == 0 {
		w.sample(name)
	}
}

// maxSampled messages are looked into, then every thousandth: plugins of
// Dovecot that change what is stored do so for all.
const maxSampled = 200

func (w *walk) sample(name string) {
	f, err := w.root.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	var head [9]byte
	n, _ := f.Read(head[:])
	for _, k := range []struct{ magic, what string }{
		{"\x1f\x8b", "compressed by gzip"},
		{"BZh", "compressed by bzip2"},
		{"\x28\xb5\x2f\xfd", "compressed by zstd"},
		{"Dovecot-L", "compressed by LZ4"},
		{"\xfd7zXZ\x00", "compressed by xz"},
		{"CRYPTED\x03\x07", "encrypted by mail_crypt"},
	} {
		if bytes.HasPrefix(head[:n], []byte(k.magic)) {
			w.rep.problem(fmt.Sprintf("%s is %s: convert the mail with doveadm first", name, k.what))
		}
	}
}

// formats tells what is known of the folders' control files.
func (w *walk) formats() {
	if n := w.rep.lacking; n > 0 {
		w.rep.note(fmt.Sprintf("%d messages have no sizes in their names; they are read once when a client asks for sizes", n))
	}
	for _, dir := range w.folders {
		w.uidlist(dir)
		if _, err := w.root.Lstat(path.Join(dir, "dovecot-uidlist.lock")); err == nil {
			w.rep.problem(path.Join(dir, "dovecot-uidlist.lock") + " is there: another server is at work, or was killed; stop it first")
		}
		highest, found, err := dovecot.ModSeq(disk.OS(), filepath.Join(w.dir, dir))
		switch {
		case err != nil:
			w.rep.note(fmt.Sprintf("%s: Dovecot's HIGHESTMODSEQ could not be read (%v); clients that keep one look at everything again", dir, err))
		case found:
			w.rep.HighestModSeq = max(w.rep.HighestModSeq, highest)
		}
	}
}

func (w *walk) uidlist(dir string) {
	f, err := w.root.Open(path.Join(dir, "dovecot-uidlist"))
	if err != nil {
		w.rep.note(fmt.Sprintf("%s has no UID list; UIDs are given at the first opening", dir))
		return
	}
	defer f.Close()
	var head [2]byte
	if n, _ := f.Read(head[:]); n < 2 || string(head[:]) != "3 " {
		w.rep.note(fmt.Sprintf("%s: the UID list is not of version 3 and is written anew at the first opening", dir))
	}
}
