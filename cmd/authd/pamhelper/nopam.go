//go:build !cgo || !linux

package main

import (
	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// pamChecker of a build without C code, which has no PAM.
type pamChecker struct{}

// Auth cannot know.
func (pamChecker) Auth(helper.Request) (helper.Answer, error) {
	return helper.Answer{}, fail.New(fail.Unavailable, "authd-pam was built without PAM (CGO_ENABLED=0)")
}
