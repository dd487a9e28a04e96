package srs

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// hashLength is how many base64 digits of the HMAC stand in an address:
// postsrsd's default. A guess costs an SMTP command and wins a bounce.
const hashLength = 4

// days is the range of the time stamp, which is two base-32 digits.
const days = 32 * 32

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// Rewriter makes and reads SRS addresses. It is safe for concurrent use.
type Rewriter struct {
	domain string
	keys   [][]byte
	maxAge int
	now    func() time.Time
}

// New makes a Rewriter for addresses at domain. The first key signs, all of
// them are accepted. maxAge is in days. Errors: fail.Invalid.
func New(domain string, keys []string, maxAge int, now func() time.Time) (*Rewriter, error) {
	d, err := addr.Domain(domain)
	if err != nil {
		return nil, err
	}
	r := &Rewriter{domain: d, maxAge: maxAge, now: now}
	for _, k := range keys {
		if k = strings.TrimSpace(k); k != "" {
			r.keys = append(r.keys, []byte(k))
		}
	}
	switch {
	case r.keys == nil:
		return nil, fail.New(fail.Invalid, "SRS needs a key: one line of at least 16 random characters")
	case maxAge < 1 || maxAge >= days:
		return nil, fail.New(fail.Invalid, "SRS addresses cannot be valid for %d days: 1 to %d", maxAge, days-1)
	}
	for _, k := range r.keys {
		if len(k) < 16 {
			return nil, fail.New(fail.Invalid, "an SRS key of %d characters can be guessed: at least 16", len(k))
		}
	}
	return r, nil
}

// Domain is the domain of the addresses.
func (r *Rewriter) Domain() string { return r.domain }

// Forward is the sender with which mail of sender is forwarded. The null
// sender and our own addresses stay. Errors: fail.Invalid when the result
// would be too long to be an address.
func (r *Rewriter) Forward(sender addr.Address) (addr.Address, error) {
	if sender.Null() || sender.Domain == "" || sender.Domain == r.domain {
		return sender, nil
	}
	kind, rest := tag(sender.Local)
	var local string
	switch first, more, ok := r.cut1(kind, rest); {
	case kind == 0:
		local = r.srs1(sender.Domain, sender.Local[len("SRS0"):])
	case kind == 1 && ok:
		local = r.srs1(first, more)
	default:
		stamp := stampOf(r.now())
		local = "SRS0=" + r.hash(r.keys[0], stamp, sender.Domain, sender.Local) + "=" + stamp + "=" + sender.Domain + "=" + sender.Local
	}
	if len(local) > addr.MaxLocal {
		return sender, fail.New(fail.Invalid, "the SRS form of %s is too long", sender)
	}
	return addr.Address{Local: local, Domain: r.domain}, nil
}

// srs1 is the local part that leads back to an SRS0 address at host; rest is
// what follows its tag, with the separator.
func (r *Rewriter) srs1(host, rest string) string {
	return "SRS1=" + r.hash(r.keys[0], host, rest) + "=" + host + "=" + rest
}

// cut1 splits HASH=host=REST.
func (r *Rewriter) cut1(kind int, rest string) (host, more string, ok bool) {
	if kind != 1 {
		return "", "", false
	}
	_, tail, _ := strings.Cut(rest, "=")
	host, more, ok = strings.Cut(tail, "=")
	return host, more, ok && host != "" && len(more) > 1
}

// Is reports whether a has the form of an address of ours.
func (r *Rewriter) Is(a addr.Address) bool {
	kind, _ := tag(a.Local)
	return kind >= 0 && a.Domain == r.domain
}

// Reverse is the address that an address of ours stands for. Errors:
// fail.NotFound when it is not one, was forged, or is too old.
func (r *Rewriter) Reverse(a addr.Address) (addr.Address, error) {
	kind, rest := tag(a.Local)
	if kind < 0 || a.Domain != r.domain {
		return a, fail.New(fail.NotFound, "%s is no SRS address", a)
	}
	hash, rest, ok := strings.Cut(rest, "=")
	if !ok {
		return a, malformed(a)
	}
	if kind == 1 {
		host, more, ok := strings.Cut(rest, "=")
		if !ok || more == "" || strings.IndexByte("=+-", more[0]) < 0 {
			return a, malformed(a)
		}
		return r.back(a, hash, []string{host, more}, host, "SRS0"+more)
	}
	stamp, rest, _ := strings.Cut(rest, "=")
	host, local, ok := strings.Cut(rest, "=")
	if !ok || !r.fresh(stamp) {
		return a, malformed(a)
	}
	return r.back(a, hash, []string{stamp, host, local}, host, local)
}

// back checks the hash and builds the answer.
func (r *Rewriter) back(a addr.Address, hash string, parts []string, host, local string) (addr.Address, error) {
	good := 0
	for _, k := range r.keys {
		// Mail systems on the way may have changed the case.
		good |= subtle.ConstantTimeCompare([]byte(strings.ToLower(hash)), []byte(strings.ToLower(r.hash(k, parts...))))
	}
	d, err := addr.Domain(host)
	if good == 0 || err != nil || local == "" {
		return a, malformed(a)
	}
	return addr.Address{Local: local, Domain: d}, nil
}

func malformed(a addr.Address) error {
	return fail.New(fail.NotFound, "%s is no SRS address of ours, or is too old", a)
}

// tag is 0 or 1 for SRS0 and SRS1, -1 for neither; rest is what follows the
// separator.
func tag(local string) (kind int, rest string) {
	if len(local) < 6 || !strings.EqualFold(local[:3], "SRS") || strings.IndexByte("=+-", local[4]) < 0 {
		return -1, ""
	}
	switch local[3] {
	case '0':
		return 0, local[5:]
	case '1':
		return 1, local[5:]
	}
	return -1, ""
}

func (r *Rewriter) hash(key []byte, parts ...string) string {
	h := hmac.New(sha1.New, key)
	for _, p := range parts {
		h.Write([]byte(strings.ToLower(p)))
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))[:hashLength]
}

func day(t time.Time) int { return int(t.Unix() / 86400 % days) }

func stampOf(t time.Time) string {
	d := day(t)
	return string([]byte{digits[d/32], digits[d%32]})
}

// fresh reports whether a time stamp is of the last maxAge days.
func (r *Rewriter) fresh(stamp string) bool {
	if len(stamp) != 2 {
		return false
	}
	stamp = strings.ToUpper(stamp)
	high, low := strings.IndexByte(digits, stamp[0]), strings.IndexByte(digits, stamp[1])
	if high < 0 || low < 0 {
		return false
	}
	return (day(r.now())-(high*32+low)+days)%days <= r.maxAge
}
