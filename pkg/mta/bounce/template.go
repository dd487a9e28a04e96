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
type Templates struct{ byName map[string]*template }

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

// ParseTemplates reads a template file. Errors are of kind fail.Invalid and
// name the line.
func ParseTemplates(text string) (Templates, error) {
	out := Templates{byName: map[string]*template{}}
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

// parseTemplate reads header lines, an empty line, and the text.
func parseTemplate(lines []string) (*template, error) {
	t := &template{from: message.Address{Mailbox: "MAILER-DAEMON", Name: "Mail Delivery System"}}
	for i, l := range lines {
		if l == "" {
			t.lines = lines[i+1:]
			break
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			return nil, fail.New(fail.Invalid, "%q is no header line", l)
		}
		value = line(strings.TrimSpace(value), true)
		switch strings.ToLower(name) {
		case "charset":
			t.utf8 = strings.EqualFold(value, "utf-8")
			if !t.utf8 && !strings.EqualFold(value, "us-ascii") {
				return nil, fail.New(fail.Invalid, "charset %s: write us-ascii or utf-8", value)
			}
		case "from":
			list := message.ParseAddresses(value, 2)
			if len(list) != 1 || list[0].Mailbox == "" {
				return nil, fail.New(fail.Invalid, "From: %q is not one address", value)
			}
			t.from = list[0]
		case "subject":
			t.subject = value
		case "postmaster-subject":
			t.postmaster = value
		default:
			return nil, fail.New(fail.Invalid, "unknown header %s", name)
		}
	}
	switch {
	case t.subject == "":
		return nil, fail.New(fail.Invalid, "the subject is missing")
	case len(t.lines) == 0:
		return nil, fail.New(fail.Invalid, "the text is missing")
	}
	for _, l := range append(t.lines, t.subject, t.postmaster, t.from.Name) {
		if !t.utf8 && !ascii(l) {
			return nil, fail.New(fail.Invalid, "%.40q is not us-ascii, see Charset", l)
		}
		if len(l) > maxWord {
			return nil, fail.New(fail.Invalid, "a line is longer than %d bytes", maxWord)
		}
	}
	_, err := expand(strings.Join(t.lines, "\n"), nil)
	return t, err
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
		text, err := expand(l, r)
		if err != nil { // it was tried when it was read
			text = l
		}
		text = line(text, t.utf8)
		b.WriteString(text[:min(len(text), 2*maxWord)] + "\r\n")
	}
	return b.String()
}

// expand replaces $name, ${name} and $(name); $$ is a dollar. Without a report
// it only finds mistakes.
func expand(s string, r *report) (string, error) {
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
		value, ok := r.parameter(name)
		if !ok {
			return "", fail.New(fail.Invalid, "unknown parameter $%s", name)
		}
		b.WriteString(value)
	}
}

// parameter is the value of a parameter of bounce(5). A nil report has them
// all, empty.
func (r *report) parameter(name string) (string, bool) {
	empty := r == nil
	if empty {
		r = &report{c: &Composer{}, n: &queue.Notice{Envelope: &queue.Envelope{}}}
	}
	_, domain, _ := strings.Cut(r.c.Hostname, ".")
	switch name {
	case "myhostname":
		return r.c.Hostname, true
	case "mydomain":
		return domain, true
	case "mail_name":
		return "Postcote", true
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
	return "", false
}
