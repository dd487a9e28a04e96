package drivers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// resource is what drivers stand on.
type resource struct {
	name   string // for health and status
	value  any
	close  func()          // may be nil
	health func() error    // may be nil; must not block
	status func() any      // may be nil; must not block
	notes  func() []string // may be nil: what an operator should know of the settings
}

// keep returns the resource of a kind with the given settings: one that this
// or the last configuration has already, or a new one.
func (b *builder) keep(kind string, settings any, open func() (*resource, error)) (*resource, error) {
	key := kind + " " + digest(settings)
	if r := b.set.kept[key]; r != nil {
		return r, nil
	}
	if b.old != nil && b.old.kept[key] != nil {
		b.set.kept[key] = b.old.kept[key]
		return b.set.kept[key], nil
	}
	r, err := open()
	if err != nil {
		return nil, err
	}
	b.set.kept[key] = r
	return r, nil
}

// CloseUnless closes what next, which may be nil, did not take over. No
// request may use s any more.
func (s *Set) CloseUnless(next *Set) {
	for key, r := range s.kept {
		if r.close != nil && (next == nil || next.kept[key] != r) {
			r.close()
		}
	}
}

// Notes are what an operator should know of settings that old, which may be
// nil, did not have.
func (s *Set) Notes(old *Set) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(s.kept)) {
		r := s.kept[key]
		if r.notes == nil || old != nil && old.kept[key] == r {
			continue
		}
		for _, note := range r.notes() {
			all = append(all, r.name+": "+note)
		}
	}
	return all
}

// Health says what is wrong with the databases, by name.
func (s *Set) Health() map[string]error {
	all := map[string]error{}
	for _, r := range s.kept {
		if r.health != nil {
			all[r.name] = r.health()
		}
	}
	return all
}

// Status tells how the databases are, by name.
func (s *Set) Status() map[string]any {
	all := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(s.kept)) {
		if r := s.kept[key]; r.status != nil {
			all[r.name] = r.status()
		}
	}
	return all
}

// digest stands for settings. Only exported fields count, as in a file.
func digest(settings any) string {
	text, err := json.Marshal(settings)
	if err != nil {
		return "" // structs of plain values cannot fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// id tells an entry's answers from all others in the cache. dovecot is a file of
// settings, or empty; one that cannot be read is found later.
func (b *builder) id(side, driver string, sections any, dovecot string) string {
	p, text := b.cfg.Passwords, []byte(nil)
	if dovecot != "" {
		text, _ = os.ReadFile(dovecot)
	}
	return side + " " + driver + " " + digest([]any{sections, text, b.cfg.Databases, b.cfg.Users.File, p.AllowSchemes, p.MaxMemory})
}

// fileSettings stands for one of Dovecot's files: changed, it is another one.
func fileSettings(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "dovecot_file")
	}
	return []string{path, string(text)}, nil
}

// dovecotFile is the one that a section names.
func dovecotFile(s *authconf.SQL, l *authconf.LDAP) string {
	switch {
	case s != nil && s.DovecotFile != "":
		return s.DovecotFile
	case l != nil:
		return l.DovecotFile
	}
	return ""
}
