package quota

import (
	"fmt"
	"path"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// socketDir is where Dovecot's services listen: a warning names its socket as
// dovecot.conf does.
const socketDir = "/run/dovecot"

// Warning is one of Dovecot's quota warnings: who is told when an account
// comes to hold so much.
type Warning struct {
	Text     string // as configured
	Under    bool   // told when usage falls below, not when it reaches it
	Bytes    Amount
	Messages Amount
	Socket   string   // absolute path; empty: the log alone is told
	Args     []string // for the script, with variables
}

// ParseWarnings parses texts in order. Invalid: which one, and why.
func ParseWarnings(texts []string) ([]Warning, error) {
	if len(texts) > maxRules {
		return nil, fail.New(fail.Invalid, "%d quota warnings are more than %d", len(texts), maxRules)
	}
	var out []Warning
	for _, t := range texts {
		w, err := ParseWarning(t)
		if err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// ParseWarning parses "[-]LIMIT[:LIMIT...] [SOCKET [ARG...]]". A limit is that
// of a rule, or hundredths of the account's; "95%" alone is of its storage, and
// "%%" is "%", as dovecot.conf writes it.
func ParseWarning(text string) (Warning, error) {
	if len(text) > maxRuleLength {
		return Warning{}, fail.New(fail.Invalid, "quota warning of %d bytes is longer than %d", len(text), maxRuleLength)
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return Warning{}, fail.New(fail.Invalid, `quota warning %q: write LIMIT SOCKET ARG..., for example "storage=95%% quota-warning 95 %%u"`, text)
	}
	w := Warning{Text: text}
	var limits string
	limits, w.Under = strings.CutPrefix(strings.ReplaceAll(words[0], "%%", "%"), "-")
	if !strings.Contains(limits, "=") {
		limits = "storage=" + limits
	}
	var r Rule
	for part := range strings.SplitSeq(limits, ":") {
		if err := r.limit(part); err != nil {
			return Warning{}, fail.Wrap(fail.Invalid, err, "quota warning %q", text)
		}
	}
	if w.Bytes, w.Messages = r.Bytes, r.Messages; r.Ignore || w.Bytes.Relative || w.Messages.Relative || w.Bytes.N+w.Messages.N == 0 {
		return Warning{}, fail.New(fail.Invalid, `quota warning %q: a limit is a number above zero, or hundredths such as "95%%"`, text)
	}
	if len(words) == 1 {
		return w, nil
	}
	var err error
	if w.Socket, err = socketPath(words[1]); err != nil {
		return Warning{}, fail.Wrap(fail.Invalid, err, "quota warning %q", text)
	}
	w.Args = words[2:]
	_, err = w.argsFor("")
	return w, fail.Wrap(fail.Invalid, err, "quota warning %q", text)
}

func socketPath(name string) (string, error) {
	name = strings.TrimPrefix(name, "unix:")
	if name == "" || strings.Contains(name, ":") {
		return "", fail.New(fail.Invalid, "%q is not a unix socket", name)
	}
	if !path.IsAbs(name) {
		name = path.Join(socketDir, name)
	}
	return name, nil
}

// argsFor is Args for a user: %u is the name, %n and %d its halves, %% a "%".
func (w Warning) argsFor(user string) ([]string, error) {
	local, domain, _ := strings.Cut(user, "@")
	var out []string
	for _, arg := range w.Args {
		var b strings.Builder
		for {
			before, after, found := strings.Cut(arg, "%")
			b.WriteString(before)
			if !found {
				break
			}
			if after == "" {
				return nil, fail.New(fail.Invalid, `%q ends with "%%": write "%%%%"`, arg)
			}
			switch after[0] {
			case 'u':
				b.WriteString(user)
			case 'n':
				b.WriteString(local)
			case 'd':
				b.WriteString(domain)
			case '%':
				b.WriteByte('%')
			default:
				return nil, fail.New(fail.Invalid, "%q: the variables are %%u, %%n and %%d", arg)
			}
			arg = after[1:]
		}
		out = append(out, b.String())
	}
	return out, nil
}

// Crossed is the first of ws whose limit lies between what an account held
// before and what it holds after, and why, in Dovecot's words. An account whose
// limits are l may hold any number of what they do not limit: hundredths of
// that are never reached.
func Crossed(ws []Warning, before, after Usage, l Limits) (w Warning, why string, ok bool) {
	for _, w := range ws {
		for _, c := range []struct {
			unit          string
			before, after int64
			limit         int64
		}{
			{"bytes", before.Bytes, after.Bytes, w.Bytes.mark(l.Bytes)},
			{"count", before.Messages, after.Messages, w.Messages.mark(l.Messages)},
		} {
			switch {
			case c.limit <= 0:
			case !w.Under && c.before < c.limit && c.after >= c.limit:
				return w, fmt.Sprintf("%s=%d -> %d over limit %d", c.unit, c.before, c.after, c.limit), true
			case w.Under && c.before >= c.limit && c.after < c.limit:
				return w, fmt.Sprintf("%s=%d -> %d below limit %d", c.unit, c.before, c.after, c.limit), true
			}
		}
	}
	return Warning{}, "", false
}

// mark is where a warning is given to an account with this limit; 0: nowhere.
func (a Amount) mark(limit int64) int64 {
	if a.Percent {
		return int64(float64(limit) * float64(a.N) / 100)
	}
	return a.N
}
