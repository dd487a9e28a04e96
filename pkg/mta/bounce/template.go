package bounce

import (
	"bufio"
	"fmt"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// Templates are texts in place of ours, in the form of Postfix's bounce(5).
// The zero value has none.
type Templates struct {
	byName     map[string]*template
	parameters Parameters
}

// Parameters are the values of Postfix's parameters, and which there are; nil
// has none.
type Parameters func(name string) (value string, known bool)

// template is one of them.
type template struct {
	utf8       bool
	from       message.Address
	subject    string
	postmaster string // subject of copies for the postmaster
	lines      []string
}

// Names of the templates.
const (
	failureTemplate = "failure_template"
	delayTemplate   = "delay_template"
	successTemplate = "success_template"
	verifyTemplate  = "verify_template"
)

// MaxTemplates caps a template file.
const MaxTemplates = 64 << 10

// ParseTemplates reads a template file, whose texts may name parameters. Errors
// are of kind fail.Invalid and name the line.
func ParseTemplates(text string, parameters Parameters) (Templates, error) {
	out := Templates{byName: map[string]*template{}, parameters: parameters}
	if len(text) > MaxTemplates {
		return out, fail.New(fail.Invalid, "templates larger than %d bytes", MaxTemplates)
	}
	in := bufio.NewScanner(strings.NewReader(text))
	in.Buffer(nil, MaxTemplates+1)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, mark, _ := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		mark, ok := strings.CutPrefix(strings.TrimSpace(mark), "<<")
		if !ok || mark == "" {
			return out, fail.New(fail.Invalid, "line %d: want NAME = <<MARK", n)
		}
		begin := n
		var lines []string
		for ended := false; !ended; n++ {
			if !in.Scan() {
				return out, fail.New(fail.Invalid, "line %d: the end %q of %s is missing", begin, mark, name)
			}
			if ended = in.Text() == strings.TrimSpace(mark); !ended {
				lines = append(lines, in.Text())
			}
		}
		t, err := parseTemplate(lines)
		if err == nil {
			_, err = out.expand(strings.Join(t.lines, "\n"), nil)
		}
		if err != nil {
			return out, fail.Wrap(fail.Invalid, err, "line %d: %s", begin, name)
		}
		switch name {
		case failureTemplate, delayTemplate, successTemplate, verifyTemplate:
			out.byName[name] = t
		default:
			return out, fail.New(fail.Invalid, "line %d: unknown template %q", begin, name)
		}
	}
	return out, nil
}

// parseTemplate reads header lines, an empty line, and the text. As for
// Postfix, the text begins with the first line that is no header line.
func parseTemplate(lines []string) (*template, error) {
	t := &template{from: message.Address{Mailbox: "MAILER-DAEMON", Name: "Mail Delivery System"}}
	charset, err := t.header(lines)
	if err != nil {
		return nil, err
	}
	if len(t.lines) == 0 {
		return nil, fail.New(fail.Invalid, "the text is missing")
	}
	texts := []*string{&t.subject, &t.postmaster, &t.from.Name}
	for i := range t.lines {
		texts = append(texts, &t.lines[i])
	}
	for _, l := range texts {
		if charset == "" && !ascii(*l) {
			return nil, fail.New(fail.Invalid, "%.40q is not us-ascii, see Charset", *l)
		}
		if charset != "" {
			*l, _ = message.ToUTF8(charset, *l)
		}
		if len(*l) > maxWord {
			return nil, fail.New(fail.Invalid, "a line is longer than %d bytes", maxWord)
		}
	}
	return t, nil
}

// header takes the header lines and leaves the text. The charset is empty for
// ASCII.
func (t *template) header(lines []string) (charset string, err error) {
	for i, l := range lines {
		name, value, ok := strings.Cut(l, ":")
		if !ok || strings.ContainsAny(name, " \t") {
			t.lines = lines[i:]
			if l == "" {
				t.lines = lines[i+1:]
			}
			break
		}
		value = printable(strings.TrimSpace(value))
		switch strings.ToLower(name) {
		case "charset":
			if charset = value; strings.EqualFold(value, "us-ascii") {
				charset = ""
			} else if _, known := message.ToUTF8(charset, ""); !known {
				return "", fail.New(fail.Invalid, "charset %s is not known", value)
			}
			t.utf8 = charset != ""
		case "from":
			list := message.ParseAddresses(value, 2)
			if len(list) != 1 || list[0].Mailbox == "" {
				return "", fail.New(fail.Invalid, "From: %q is not one address", value)
			}
			t.from = list[0]
		case "subject":
			t.subject = value
		case "postmaster-subject":
			t.postmaster = value
		default:
			return "", fail.New(fail.Invalid, "unknown header %s", name)
		}
	}
	return charset, nil
}

// printable has no control characters; other bytes stay, whatever their
// charset.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c == 0x7f {
			b[i] = ' '
		}
	}
	return string(b)
}

// of is the template for a kind, nil for ours.
func (t Templates) of(k queue.NoticeKind) *template {
	switch {
	case k.Failure():
		return t.byName[failureTemplate]
	case k.Delay():
		return t.byName[delayTemplate]
	}
	if k == queue.NoticeVerify {
		return t.byName[verifyTemplate]
	}
	return t.byName[successTemplate]
}

// text is the template's text with its parameters filled in.
func (t *template) text(r *report) string {
	var b strings.Builder
	for _, l := range t.lines {
		text, err := r.c.Templates.expand(l, r)
		if err != nil { // it was tried when it was read
			text = l
		}
		text = line(text, t.utf8)
		b.WriteString(text[:min(len(text), 2*maxWord)] + "\r\n")
	}
	return b.String()
}

// expand replaces $name, ${name} and $(name); ${name?text} is the text if the
// parameter is not empty, ${name:text} if it is; $$ is a dollar. Without a
// report it only finds mistakes.
func (t Templates) expand(s string, r *report) (string, error) {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '$')
		if at < 0 {
			return b.String() + s, nil
		}
		b.WriteString(s[:at])
		s = s[at+1:]
		var name string
		switch {
		case strings.HasPrefix(s, "$"):
			b.WriteByte('$')
			s = s[1:]
			continue
		case strings.HasPrefix(s, "{"), strings.HasPrefix(s, "("):
			end := strings.IndexAny(s, "})")
			if end < 0 {
				return "", fail.New(fail.Invalid, "a parameter has no end: $%.20s", s)
			}
			name, s = s[1:end], s[end+1:]
		default:
			end := 0
			for end < len(s) && (s[end] == '_' || s[end] >= '0' && s[end] <= '9' || s[end] >= 'a' && s[end] <= 'z' || s[end] >= 'A' && s[end] <= 'Z') {
				end++
			}
			name, s = s[:end], s[end:]
		}
		name, text, when := conditional(name)
		value, ok := t.parameter(name, r)
		if when != 0 && ok {
			if (value == "") == (when == '?') {
				text = ""
			}
			value = text
		}
		if !ok {
			return "", fail.New(fail.Invalid, "unknown parameter $%s", name)
		}
		b.WriteString(value)
	}
}

// conditional takes name?text and name:text apart.
func conditional(s string) (name, text string, when byte) {
	if at := strings.IndexAny(s, "?:"); at >= 0 {
		return s[:at], s[at+1:], s[at]
	}
	return s, "", 0
}

// parameter is the value of a parameter: one of the times of bounce(5), or any
// of main.cf. Without a report the times are 0.
func (t Templates) parameter(name string, r *report) (string, bool) {
	if r == nil {
		r = &report{c: &Composer{}, n: &queue.Notice{Envelope: &queue.Envelope{}}}
	}
	for prefix, d := range map[string]time.Duration{
		"delay_warning_time_":     r.n.Now.Sub(r.n.Envelope.Arrival),
		"maximal_queue_lifetime_": r.n.Expires.Sub(r.n.Envelope.Arrival),
	} {
		unit, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		of, ok := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour}[unit]
		if !ok {
			return "", false
		}
		return fmt.Sprint(int64(d / of)), true
	}
	if t.parameters == nil {
		return "", false
	}
	return t.parameters(name)
}
