package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const uidvalidityName = "dovecot-uidvalidity"

// NextUIDValidity returns a UIDVALIDITY that no folder of this tree ever had.
// The counter is Dovecot's: an empty file whose name holds the last value and
// which is renamed to the next one, so that two programs cannot take the same;
// dovecot-uidvalidity repeats the value.
func (t *Tree) NextUIDValidity() (uint32, error) {
	for range 100 {
		cur, found, err := t.lastUIDValidity()
		if err != nil {
			return 0, err
		}
		if !found {
			if err := t.startUIDValidity(cur); err != nil {
				return 0, err
			}
			continue
		}
		next := cur + 1
		err = t.fs.Rename(t.uidvalidityFile(cur), t.uidvalidityFile(next))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another program was faster
		}
		if err != nil {
			return 0, ioError(err, "taking a UIDVALIDITY in %s", t.root)
		}
		name := filepath.Join(t.root, uidvalidityName)
		// WriteFile syncs the folder and with it the rename.
		if err := disk.WriteFile(t.fs, name, fmt.Appendf(nil, "%08x", next), t.opts.FilePerm); err != nil {
			return 0, ioError(err, "taking a UIDVALIDITY in %s", t.root)
		}
		return next, nil
	}
	return 0, fail.New(fail.Temporary, "taking a UIDVALIDITY in %s: others keep changing it", t.root)
}

func (t *Tree) uidvalidityFile(v uint32) string {
	return filepath.Join(t.root, fmt.Sprintf("%s.%08x", uidvalidityName, v))
}

// lastUIDValidity looks for the counter. When there is none it returns the
// value to start from.
func (t *Tree) lastUIDValidity() (v uint32, found bool, err error) {
	v = uint32(t.opts.Now().Unix())
	data, err := disk.ReadFile(t.fs, filepath.Join(t.root, uidvalidityName), 64)
	if err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 16, 32); err == nil && n > 0 {
			if ok, _ := disk.Exists(t.fs, t.uidvalidityFile(uint32(n))); ok {
				return uint32(n), true, nil
			}
			v = max(v, uint32(n))
		}
	}
	entries, err := t.fs.ReadDir(t.root)
	if err != nil {
		return 0, false, ioError(err, "looking for the UIDVALIDITY counter in %s", t.root)
	}
	best := uint64(0)
	for _, e := range entries {
		if num, ok := strings.CutPrefix(e.Name(), uidvalidityName+"."); ok && len(num) == 8 {
			if n, err := strconv.ParseUint(num, 16, 32); err == nil {
				best = max(best, n)
			}
		}
	}
	if best > 0 && best < 1<<32-1 {
		return uint32(best), true, nil
	}
	return v, false, nil
}

func (t *Tree) startUIDValidity(v uint32) error {
	f, err := t.fs.OpenFile(t.uidvalidityFile(v), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o444)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return ioError(err, "starting the UIDVALIDITY counter in %s", t.root)
	}
	return f.Close()
}
