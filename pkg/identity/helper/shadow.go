package helper

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Shadow checks passwords against a shadow(5) file.
type Shadow struct {
	File string // /etc/shadow
	Now  func() time.Time
}

// maxShadow caps the file; a hundred thousand users fit.
const maxShadow = 64 << 20

// Auth compares the password with the one of the file and minds the dates. A
// user who is unknown or locked takes as long as another.
func (s Shadow) Auth(r Request) (Answer, error) {
	fields, sample, err := s.find(r.User)
	if err != nil {
		return Answer{}, err
	}
	var w scheme.Workspace
	if fields == nil || locked(fields[1]) {
		if h, err := parse(sample); err == nil {
			h.Verify(&w, r.Password)
		}
		if fields == nil {
			return Answer{}, Unknown
		}
		return Answer{}, Disabled
	}
	h, err := parse(fields[1])
	if err != nil {
		return Answer{}, fail.Wrap(fail.Unavailable, err, "%s: user %s", s.File, r.User)
	}
	if !h.Verify(&w, r.Password) {
		return Answer{}, Mismatch
	}
	if expired(fields, s.Now()) {
		return Answer{}, Expired
	}
	return Answer{User: r.User}, nil
}

func locked(stored string) bool { return stored == "" || stored[0] == '!' || stored[0] == '*' }

func parse(stored string) (scheme.Hash, error) {
	return scheme.Parse("{CRYPT}"+stored, scheme.Policy{Allow: []string{"CRYPT", "DES-CRYPT", "MD5-CRYPT"}})
}

// find returns the nine fields of a user's line, nil when there is none, and
// the password of somebody as a sample of what one costs here.
func (s Shadow) find(user string) (fields []string, sample string, err error) {
	f, err := os.Open(s.File)
	if err != nil {
		return nil, "", fail.Wrap(fail.Unavailable, err, "")
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || info.Size() > maxShadow {
		return nil, "", fail.New(fail.Unavailable, "%s is too large, or gone (%v)", s.File, err)
	}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line := strings.Split(sc.Text(), ":")
		for len(line) < 9 {
			line = append(line, "")
		}
		if sample == "" && !locked(line[1]) {
			sample = line[1]
		}
		if fields == nil && line[0] == user && user != "" {
			fields = line
		}
	}
	return fields, sample, fail.Wrap(fail.Unavailable, sc.Err(), "%s", s.File)
}

// expired minds last change and maximum age with its grace, and the account's
// end; days since 1970, see shadow(5). A last change of 0 wants a new password.
func expired(fields []string, now time.Time) bool {
	today := int(now.Unix() / 86400)
	day := func(i int) int {
		if n, err := strconv.Atoi(fields[i]); err == nil {
			return n
		}
		return -1
	}
	if end := day(7); end >= 0 && today >= end {
		return true
	}
	changed, most, grace := day(2), day(4), day(6)
	if changed == 0 {
		return true
	}
	return changed > 0 && most >= 0 && today > changed+most+max(grace, 0)
}
