package usercmd

import (
	"context"
	"fmt"
	"iter"

	"github.com/postcote/postcote/pkg/identity/localdb"
)

// store is users in a users store.
type store struct{ s *localdb.Store }

func (s store) close() { s.s.Close() }

func (s store) add(ctx context.Context, u localdb.User) error { return s.s.AddUser(ctx, u) }

func (s store) get(ctx context.Context, name string) (user, error) {
	u, err := s.s.User(ctx, name)
	return user{User: u}, err
}

func (s store) all(ctx context.Context) iter.Seq2[user, error] {
	return func(yield func(user, error) bool) {
		for u, err := range s.s.Users(ctx) {
			if !yield(user{User: u}, err) {
				return
			}
		}
	}
}

func (s store) remove(ctx context.Context, name string) ([]string, error) {
	lost, err := s.s.DeleteUser(ctx, name)
	besides := make([]string, 0, len(lost))
	for _, a := range lost {
		besides = append(besides, fmt.Sprintf("alias %s no longer leads to %s", a.Address, a.Target))
	}
	return besides, err
}

func (s store) setPassword(ctx context.Context, name, stored string) error {
	return s.s.SetPassword(ctx, name, stored)
}

func (s store) enable(ctx context.Context, name string, on bool) error {
	return s.s.SetEnabled(ctx, name, on)
}

func (s store) setQuota(ctx context.Context, name string, q localdb.Quota) error {
	return s.s.SetQuota(ctx, name, q)
}
