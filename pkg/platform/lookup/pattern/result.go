package pattern

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// result is the right side of a rule: text, and numbers of groups between.
type result struct {
	text   []string // one more than groups
	groups []int
}

// parseResult reads text with $1, ${1}, $(1) and $$ for a dollar sign.
func parseResult(in string, groups int) (result, error) {
	r := result{}
	var text strings.Builder
	for in != "" {
		before, after, found := strings.Cut(in, "$")
		text.WriteString(before)
		if in = after; !found {
			break
		}
		if strings.HasPrefix(in, "$") {
			text.WriteByte('$')
			in = in[1:]
			continue
		}
		name, rest, err := groupName(in)
		if err != nil {
			return result{}, err
		}
		n, err := strconv.Atoi(name)
		if err != nil || strings.Trim(name, "0123456789") != "" {
			return result{}, fail.New(fail.Invalid, "$%.40s is no number of a group (write $$ for a dollar sign)", name)
		}
		if n < 1 || n > groups {
			return result{}, fail.New(fail.Invalid, "there is no group $%d", n)
		}
		r.text, r.groups = append(r.text, text.String()), append(r.groups, n)
		text.Reset()
		in = rest
	}
	r.text = append(r.text, text.String())
	return r, nil
}

// groupName takes what stands behind a dollar sign.
func groupName(in string) (name, rest string, err error) {
	for open, end := range map[string]string{"{": "}", "(": ")"} {
		if after, found := strings.CutPrefix(in, open); found {
			name, rest, found = strings.Cut(after, end)
			if !found {
				return "", "", fail.New(fail.Invalid, "$%s is not closed", open)
			}
			return name, rest, nil
		}
	}
	i := 0
	for i < len(in) && (isAlnum(in[i]) || in[i] == '_') {
		i++
	}
	if i == 0 {
		return "", "", fail.New(fail.Invalid, "a dollar sign stands alone (write $$)")
	}
	return in[:i], in[i:], nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// expand puts the groups in; groups[0] is the whole match.
func (r result) expand(groups []string) string {
	if len(r.groups) == 0 {
		return r.text[0]
	}
	var b strings.Builder
	for i, n := range r.groups {
		b.WriteString(r.text[i])
		if n < len(groups) {
			b.WriteString(groups[n])
		}
	}
	b.WriteString(r.text[len(r.groups)])
	return b.String()
}
