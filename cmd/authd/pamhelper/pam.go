//go:build cgo && linux

package main

import (
	"errors"

	"github.com/msteinert/pam/v2"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// pamChecker asks PAM: authentication, then account management, no session.
type pamChecker struct{}

// Auth runs one PAM transaction. Its user name is the answer: a module may
// change it.
func (pamChecker) Auth(r helper.Request) (helper.Answer, error) {
	t, err := pam.StartFunc(r.Service, r.User, func(s pam.Style, _ string) (string, error) {
		switch s {
		case pam.PromptEchoOff:
			return r.Password, nil
		case pam.PromptEchoOn:
			return r.User, nil
		}
		return "", nil
	})
	if err != nil {
		return helper.Answer{}, verdict(err)
	}
	defer func() { _ = t.End() }()
	if rip := r.Fields.Get("rip"); rip != "" {
		_ = t.SetItem(pam.Rhost, rip)
	}
	_ = t.SetItem(pam.Tty, "postcote")
	if err := t.Authenticate(pam.Silent | pam.DisallowNullAuthtok); err != nil {
		return helper.Answer{}, verdict(err)
	}
	if err := t.AcctMgmt(pam.Silent); err != nil {
		return helper.Answer{}, verdict(err)
	}
	name, err := t.GetItem(pam.User)
	if err != nil || name == "" {
		name = r.User
	}
	return helper.Answer{User: name}, nil
}

// verdict sorts PAM's codes: what concerns the user, and what the system.
func verdict(err error) error {
	var code pam.Error
	if !errors.As(err, &code) {
		return fail.Wrap(fail.Unavailable, err, "PAM")
	}
	switch code {
	case pam.ErrAuth, pam.ErrMaxtries, pam.ErrCredInsufficient:
		return helper.Mismatch
	case pam.ErrUserUnknown:
		return helper.Unknown
	case pam.ErrAcctExpired, pam.ErrPermDenied:
		return helper.Disabled
	case pam.ErrNewAuthtokReqd, pam.ErrAuthtokExpired, pam.ErrCredExpired:
		return helper.Expired
	}
	return fail.Wrap(fail.Unavailable, err, "PAM")
}
