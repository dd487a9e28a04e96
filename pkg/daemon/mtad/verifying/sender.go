package verifying

import (
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Sender is the sender of probes.
type Sender struct {
	base addr.Address
	ttl  time.Duration
	now  func() time.Time
}

// NewSender is the sender as configured; usual and origin are the name and the domain where
// there is none. Errors: fail.Invalid.
func (c Config) NewSender(usual, origin string, now func() time.Time) (Sender, error) {
	base, err := c.base(usual, origin)
	return Sender{base: base, ttl: c.SenderTTL.Std(), now: now}, err
}

func (c Config) base(usual, origin string) (addr.Address, error) {
	text := c.Sender
	switch text {
	case "<>":
		return addr.Address{}, nil
	case "":
		text = usual
	}
	return Named(text, origin)
}

// Named is the address text, or that name at origin. Errors: fail.Invalid.
func Named(text, origin string) (addr.Address, error) {
	if !strings.Contains(text, "@") {
		text += "@" + origin
	}
	a, err := addr.Parse(text)
	if err == nil && (a.Local == "" || a.Domain == "") {
		err = fail.New(fail.Invalid, "%q is no full address", text)
	}
	return a, err
}

// codeBase is that of the numbers in codes, as in Postfix.
const codeBase = 31

// Now is the sender of a probe that is sent now.
func (s Sender) Now() addr.Address {
	a := s.base
	if s.ttl > 0 && !a.Null() {
		a.Local += s.code(0)
	}
	return a
}

// code is the changing part of the name, some times ago.
func (s Sender) code(ago int64) string {
	return strconv.FormatInt(s.now().Unix()/int64(max(s.ttl/time.Second, 1))-ago, codeBase)
}

// Lasting returns the sender without its changing part for an address that is
// one of the latest: a host that verifies it may take its time.
func (s Sender) Lasting(a addr.Address) (addr.Address, bool) {
	if s.ttl <= 0 || s.base.Null() || a.Domain != s.base.Domain || len(a.Local) <= len(s.base.Local) {
		return addr.Address{}, false
	}
	name, code := a.Local[:len(s.base.Local)], a.Local[len(s.base.Local):]
	if !strings.EqualFold(name, s.base.Local) {
		return addr.Address{}, false
	}
	for ago := int64(-1); ago <= 1; ago++ {
		if strings.EqualFold(code, s.code(ago)) {
			return s.base, true
		}
	}
	return addr.Address{}, false
}
