package quota

import (
	"math"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxRules and maxRuleLength bound what a user record can make us keep.
const (
	maxRules      = 32
	maxRuleLength = 512
)

// Limits is what may be kept; 0 is no limit.
type Limits struct {
	Bytes    int64
	Messages int64
}

// None reports whether nothing is limited.
func (l Limits) None() bool { return l == Limits{} }

// Rule is one of Dovecot's quota rules: "*:storage=1G:messages=10000",
// "Trash:storage=+100M", "Spam:ignore".
type Rule struct {
	Folder   string // "*": the account; else a folder, in which * and ? stand for any text and any byte
	Ignore   bool   // what is in the folder does not count, and nothing limits it
	Bytes    Amount
	Messages Amount
}

// Amount is one limit of a Rule.
type Amount struct {
	Set      bool
	Relative bool // N is added to the account's limit
	Percent  bool // N is in hundredths of the account's limit
	N        int64
}

// of is the limit that a makes of the account's.
func (a Amount) of(account int64) int64 {
	if !a.Set || account == 0 {
		return account // who has no limit is not given one by a folder
	}
	n := a.N
	if a.Percent {
		n = int64(float64(account) * float64(a.N) / 100)
	}
	if a.Relative {
		n += account
	}
	return max(n, 1) // 0 would be no limit
}

// Rules are an account's rules in order. For the account's own limits the last
// rule for "*" counts, for a folder the first that names it.
type Rules []Rule

// ParseRules parses texts in order. Invalid: which one, and why.
func ParseRules(texts []string) (Rules, error) {
	if len(texts) > maxRules {
		return nil, fail.New(fail.Invalid, "%d quota rules are more than %d", len(texts), maxRules)
	}
	var out Rules
	for _, t := range texts {
		r, err := ParseRule(t)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// ParseRule parses "FOLDER:LIMIT[:LIMIT...]", where a limit is storage= (KiB,
// or with B, k, M, G, T behind the number), bytes=, messages=, each with "+",
// "-" or "%" as in Dovecot, or the word ignore.
func ParseRule(text string) (Rule, error) {
	if len(text) > maxRuleLength {
		return Rule{}, fail.New(fail.Invalid, "quota rule of %d bytes is longer than %d", len(text), maxRuleLength)
	}
	folder, rest, ok := strings.Cut(text, ":")
	if !ok || folder == "" {
		return Rule{}, fail.New(fail.Invalid, `quota rule %q: write FOLDER:LIMIT, for example "*:storage=1G"`, text)
	}
	if folder == "?" { // the account, where the store does not know better: ours never does
		folder = "*"
	}
	r := Rule{Folder: folder}
	for part := range strings.SplitSeq(rest, ":") {
		if err := r.limit(part); err != nil {
			return Rule{}, fail.Wrap(fail.Invalid, err, "quota rule %q", text)
		}
	}
	if folder == "*" && (r.Ignore || r.Bytes.Relative || r.Bytes.Percent || r.Messages.Relative || r.Messages.Percent) {
		return Rule{}, fail.New(fail.Invalid, "quota rule %q: the account's own limits are plain numbers", text)
	}
	return r, nil
}

func (r *Rule) limit(part string) error {
	if part == "" {
		return nil // Dovecot forgives "storage=1G:"
	}
	if part == "ignore" {
		r.Ignore = true
		return nil
	}
	key, value, _ := strings.Cut(part, "=")
	var unit int64
	switch key {
	case "storage":
		unit = 1 << 10
	case "bytes", "messages":
		unit = 1
	default:
		return fail.New(fail.Invalid, "%q is neither storage=, bytes=, messages= nor ignore", part)
	}
	a, err := parseAmount(value, unit, key != "messages")
	if err != nil {
		return err
	}
	if key == "messages" {
		r.Messages = a
	} else {
		r.Bytes = a
	}
	return nil
}

// parseAmount reads a number in units; suffixes says whether B, k, M, G and T
// are known.
func parseAmount(s string, unit int64, suffixes bool) (Amount, error) {
	a := Amount{Set: true}
	bad := fail.New(fail.Invalid, "%q is not an amount", s)
	text, negative := s, false
	if t, ok := strings.CutPrefix(text, "+"); ok {
		text, a.Relative = t, true
	} else if t, ok := strings.CutPrefix(text, "-"); ok {
		text, a.Relative, negative = t, true, true
	}
	if t, ok := strings.CutSuffix(text, "%"); ok {
		text, a.Percent, unit = t, true, 1
	} else if n := len(text); n > 0 && suffixes {
		if power := strings.IndexByte("bkmgt", text[n-1]|0x20); power >= 0 {
			text, unit = text[:n-1], 1<<(10*power)
		}
	}
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil || int64(n) > math.MaxInt64/4/unit {
		return Amount{}, bad
	}
	a.N = int64(n) * unit
	if negative {
		a.N = -a.N
	}
	return a, nil
}

// Account is the limits of the account as a whole.
func (rs Rules) Account() Limits {
	var l Limits
	for _, r := range rs {
		if r.Folder != "*" {
			continue
		}
		if r.Bytes.Set {
			l.Bytes = r.Bytes.N
		}
		if r.Messages.Set {
			l.Messages = r.Messages.N
		}
	}
	return l
}

// Limits is what the account may hold when something is put into folder.
// counted is false where nothing in the folder counts.
func (rs Rules) Limits(folder string) (l Limits, counted bool) {
	l = rs.Account()
	for _, r := range rs {
		if r.Folder == "*" || !matches(r.Folder, folder) {
			continue
		}
		if r.Ignore {
			return Limits{}, false
		}
		return Limits{Bytes: r.Bytes.of(l.Bytes), Messages: r.Messages.of(l.Messages)}, true
	}
	return l, true
}

// matches compares a folder's name with a pattern in time linear in both but
// for the stars: the last one is tried again, earlier ones never.
func matches(pattern, name string) bool {
	if strings.EqualFold(pattern, "INBOX") {
		return strings.EqualFold(name, "INBOX")
	}
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
