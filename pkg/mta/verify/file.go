package verify

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// magic is the first line of the file.
const magic = "postcote-verify 1"

const (
	maxFile = 256 << 20
	maxText = 300
)

// load reads the file. Lines that make no sense are left out.
func (s *Service) load() error {
	if s.cfg.Path == "" {
		return nil
	}
	data, err := disk.ReadFile(s.cfg.FS, s.cfg.Path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail.Wrap(fail.KindOf(err), err, "verify")
	}
	first, rest, _ := strings.Cut(string(data), "\n")
	if first != magic {
		return fail.New(fail.Corrupt, "%s does not begin with %q", s.cfg.Path, magic)
	}
	now := s.cfg.Now()
	for line := range strings.Lines(rest) {
		key, e, ok := parseEntry(strings.TrimSuffix(line, "\n"))
		if ok && !s.times.expired(e, now) && len(s.known) < s.cfg.Max {
			s.known[key] = e
		}
	}
	return nil
}

// parseEntry reads "status TAB probed TAB updated TAB code TAB address TAB text".
func parseEntry(line string) (key string, e entry, ok bool) {
	f := strings.SplitN(line, "\t", 6)
	if len(f) != 6 || f[4] == "" {
		return "", e, false
	}
	if e.Status, ok = parseStatus(f[0]); !ok {
		return "", e, false
	}
	for i, at := range []*time.Time{&e.probed, &e.updated} {
		n, err := strconv.ParseInt(f[1+i], 10, 64)
		if err != nil || n < 0 {
			return "", e, false
		}
		*at = time.Unix(n, 0)
	}
	e.code, e.text = f[3], f[5]
	return f[4], e, true
}

// save writes the file if there is anything new.
func (s *Service) save() error {
	s.mu.Lock()
	if s.cfg.Path == "" || !s.changed {
		s.mu.Unlock()
		return nil
	}
	known := maps.Clone(s.known)
	s.changed = false
	s.mu.Unlock()
	err := disk.WriteFileFunc(s.cfg.FS, s.cfg.Path, 0o600, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		fmt.Fprintln(out, magic)
		for key, e := range known {
			if strings.ContainsAny(key, "\t\n") {
				continue
			}
			fmt.Fprintf(out, "%s\t%d\t%d\t%s\t%s\t%s\n", e.Status, e.probed.Unix(), e.updated.Unix(), e.code, key, e.text)
		}
		return out.Flush()
	})
	if err != nil {
		s.mu.Lock()
		s.changed = true
		s.mu.Unlock()
	}
	return err
}

// oneLine keeps what a host said from being more than a field.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return s[:min(len(s), maxText)]
}
