package authd

import (
	"context"
	"errors"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/scheme"
)

// rehasher stores passwords that were found right by the scheme target, unless
// they are as good. It hashes where passwords are checked: in a slot.
func rehasher(h passdb.Hasher, target string) passdb.Rehash {
	return func(ctx context.Context, user, stored, password string) (string, error) {
		if !scheme.NeedsRehash(stored, target, scheme.Costs{}) {
			return "", nil
		}
		j := &rehash{user: user, target: target}
		if _, err := h.Verify(ctx, j, password); err != nil {
			return "", err
		}
		return j.stored, j.err
	}
}

// rehash is a job for a slot in the form of a check.
type rehash struct {
	user, target string
	stored       string
	err          error
}

// Scheme is the one that the password will be stored by.
func (j *rehash) Scheme() string { return j.target }

// Verify hashes the password; there is nothing to compare it with.
func (j *rehash) Verify(w *scheme.Workspace, password string) bool {
	j.stored, j.err = scheme.GenerateWith(w, j.target, password, scheme.Options{User: j.user})
	if j.stored == "" && j.err == nil {
		j.err = errors.New("hashing yielded nothing")
	}
	return true
}
