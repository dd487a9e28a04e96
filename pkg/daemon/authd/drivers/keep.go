package drivers

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
)

// resource is what drivers stand on.
type resource struct {
	name   string // for health and status
	value  any
	close  func()       // may be nil
	health func() error // may be nil; must not block
	status func() any   // may be nil; must not block
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

// id tells an entry's answers from all others in the cache.
func (b *builder) id(side, driver string, sections any) string {
	p := b.cfg.Passwords
	return side + " " + driver + " " + digest([]any{sections, b.cfg.Databases, b.cfg.Users.File, p.AllowSchemes, p.MaxMemory})
}
