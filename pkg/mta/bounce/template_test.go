package bounce

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue"
)

const oneTemplate = `# ours
failure_template = <<EOF
Charset: us-ascii
From: postmaster (Post office)
Subject: Your mail came back
Postmaster-Subject: Copy: mail came back

Here is $myhostname of ${mydomain}, after $delay_warning_time_hours hours of
$maximal_queue_lifetime_days days; it costs $$5.
EOF

delay_template = <<END
Charset: utf-8
Subject: Verspätet

Noch nicht zugestellt, später.
END
`

func TestTemplates(t *testing.T) {
	list, err := ParseTemplates(oneTemplate)
	if err != nil {
		t.Fatal(err)
	}
	c := composer()
	c.Templates = list
	id, _ := queue.ParseID("4dj7nd4q40z00")
	for kind, want := range map[queue.NoticeKind][]string{
		queue.NoticeFailure: {
			"From: Post office <postmaster@mail.example.org>\r\nSubject: Your mail came back\r\n",
			"\r\n\r\nHere is mail.example.org of example.org, after 26 hours of\r\n5 days; it costs $5.\r\n\r\n<bob@example.net>: host mx",
		},
		queue.NoticeFailureCopy: {"Subject: Copy: mail came back\r\n"},
		queue.NoticeDelay:       {"Subject: =?utf-8?q?Versp=C3=A4tet?=\r\n", "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nNoch nicht zugestellt, später.\r\n"},
		queue.NoticeSuccess:     {"Subject: Successful Mail Delivery Report\r\n"},
	} {
		n := notice(t, plain)
		n.Kind = kind
		switch {
		case kind == queue.NoticeSuccess:
			n.Recipients[0].Code.Class = 2
		case kind.Delay():
			n.Recipients[0].Code.Class = 4
		}
		var b bytes.Buffer
		facts, err := c.Compose(context.Background(), &b, id, n)
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, b.String(), facts)
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				t.Errorf("%s: %q is missing in\n%s", kind, w, b.String())
			}
		}
	}
}

func TestBadTemplates(t *testing.T) {
	for text, want := range map[string]string{
		"x":                                    "line 1: want NAME",
		"failure_template = <<EOF\nSubject: x": "the end \"EOF\" of failure_template is missing",
		"other_template = <<E\nSubject: x\n\ny\nE":        "unknown template",
		"delay_template = <<E\nSubject: x\n\n$nothing\nE": "unknown parameter $nothing",
		"delay_template = <<E\nSubject: x\n\n${myhost\nE": "has no end",
		"delay_template = <<E\nSubject: x\n\nä\nE":        "is not us-ascii",
		"delay_template = <<E\nCharset: latin1\n\nx\nE":   "write us-ascii or utf-8",
		"delay_template = <<E\n\nx\nE":                    "the subject is missing",
		"delay_template = <<E\nSubject: x\nE":             "the text is missing",
		"delay_template = <<E\nBcc: x\n\ny\nE":            "unknown header Bcc",
		strings.Repeat("#", MaxTemplates+1):               "larger than",
	} {
		if _, err := ParseTemplates(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// The templates that Postfix ships are read.
func TestPostfixTemplates(t *testing.T) {
	for _, file := range []string{"/usr/share/postfix/bounce.cf.default", "/etc/postfix/bounce.cf.default"} {
		if text, err := os.ReadFile(file); err == nil {
			if _, err := ParseTemplates(string(text)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// FuzzParseTemplates: what is read makes a well-formed notification.
func FuzzParseTemplates(f *testing.F) {
	f.Add(oneTemplate)
	f.Add("failure_template = <<E\nFrom: a b <c@d>\nSubject: \x01\n\n${x\nE")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseTemplates(text)
		if err != nil {
			return
		}
		c := composer()
		c.Templates = list
		id, _ := queue.ParseID("4dj7nd4q40z00")
		var b bytes.Buffer
		facts, err := c.Compose(context.Background(), &b, id, notice(t, plain))
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, b.String(), facts)
	})
}
