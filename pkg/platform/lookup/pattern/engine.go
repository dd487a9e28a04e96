package pattern

import (
	"regexp"
	"time"

	"github.com/dlclark/regexp2"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// engine is a pattern ready to be matched.
type engine interface {
	// match returns the groups if they are wanted; the first is the whole.
	match(key string, groups bool) (texts []string, matched bool, err error)
	// groups is how many groups the pattern has.
	groups() int
}

// linear is Go's engine.
type linear struct{ re *regexp.Regexp }

func (e linear) groups() int { return e.re.NumSubexp() }

func (e linear) match(key string, groups bool) ([]string, bool, error) {
	if !groups {
		return nil, e.re.MatchString(key), nil
	}
	texts := e.re.FindStringSubmatch(key)
	return texts, texts != nil, nil
}

// patience is how long the backtracking engine may try. Its clock ticks each
// 100 ms, and a busy host is no reason to fail.
const patience = 2 * time.Second

// maxSlowKey is how long a key may be for the backtracking engine.
const maxSlowKey = 32 << 10

// backtracking is the engine for what Go's lacks.
type backtracking struct {
	re    *regexp2.Regexp
	count int
}

func (e backtracking) groups() int { return e.count }

func (e backtracking) match(key string, groups bool) ([]string, bool, error) {
	if len(key) > maxSlowKey {
		return nil, false, fail.New(fail.Invalid, "the key is longer than %d bytes, too long for look-around and back references", maxSlowKey)
	}
	m, err := e.re.FindStringMatch(key)
	if err != nil {
		// The library's text holds the key.
		return nil, false, fail.New(fail.Unavailable, "the pattern takes longer than %s", patience)
	}
	if m == nil || !groups {
		return nil, m != nil, nil
	}
	texts := make([]string, e.count+1)
	for i := range texts {
		texts[i] = m.GroupByNumber(i).String()
	}
	return texts, true, nil
}

// engine makes the pattern that was emitted ready. longest: of the matches at
// the first place the longest counts, as in POSIX.
func (e *emitter) engine(longest bool) (engine, error) {
	if e.lacking == "" {
		re, err := regexp.Compile(e.linear.String())
		if err == nil {
			if longest {
				re.Longest()
			}
			return linear{re}, nil
		}
		e.lacking = "this pattern"
		if e.err == nil {
			e.err = fail.New(fail.Invalid, "%s", reason(err))
		}
	}
	re, err := regexp2.Compile(e.slow.String(), regexp2.None)
	if err != nil {
		if e.err != nil {
			return nil, e.err
		}
		return nil, fail.New(fail.Invalid, "%s is not understood: %.200s", e.lacking, err)
	}
	re.MatchTimeout = patience
	return backtracking{re, e.count}, nil
}
