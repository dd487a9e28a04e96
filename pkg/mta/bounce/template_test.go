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

// parameters are some of main.cf.
func parameters(name string) (string, bool) {
	v, ok := map[string]string{"myhostname": "mail.example.org", "mydomain": "example.org", "mail_name": "Postcote", "bounce_size_limit": "50000", "relayhost": ""}[name]
	return v, ok
}

// What Postfix reads is read: any charset, any parameter, a text that begins
// without an empty line, a header without a subject.
func TestTemplatesOfOperators(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Charset: iso-8859-1\nSubject: Zur\xfcck\n\nGr\xfc\xdfe von $myhostname", "Subject: =?utf-8?q?Zur=C3=BCck?=\r\n"},
		{"Charset: iso-8859-1\nSubject: Zur\xfcck\n\nGr\xfc\xdfe von $myhostname", "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße von mail.example.org\r\n\r\n<bob"},
		{"Subject: x\n\nup to $bounce_size_limit bytes", "\r\n\r\nup to 50000 bytes\r\n"},
		{"Subject: x\n\n${mail_name?by it, }${relayhost?no}${relayhost:direct}$(mail_name:no)", "\r\n\r\nby it, direct\r\n"},
		{"Subject: x\ntext at once", "Subject: x\r\n"},
		{"Subject: x\ntext at once", "\r\n\r\ntext at once\r\n"},
		{"\nonly text", "Subject: Undelivered Mail Returned to Sender\r\n"},
	} {
		list, err := ParseTemplates("failure_template = << EOF \n"+c.text+"\nEOF\n", parameters)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		co := composer()
		co.Templates = list
		var b bytes.Buffer
		facts, err := co.Compose(context.Background(), &b, 1, notice(t, plain))
		if err != nil {
			t.Fatal(err)
		}
		checkReport(t, b.String(), facts)
		if !strings.Contains(b.String(), c.want) {
			t.Errorf("%q: %q is missing in\n%s", c.text, c.want, b.String())
		}
	}
}

func TestTemplates(t *testing.T) {
	list, err := ParseTemplates(oneTemplate, parameters)
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
		"delay_template = <<E\nCharset: klingon\n\nx\nE":  "charset klingon is not known",
		"delay_template = <<E\nSubject: x\nE":             "the text is missing",
		"delay_template = <<E\nBcc: x\n\ny\nE":            "unknown header Bcc",
		strings.Repeat("#", MaxTemplates+1):               "larger than",
	} {
		if _, err := ParseTemplates(text, parameters); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

// The templates that Postfix ships are read.
func TestPostfixTemplates(t *testing.T) {
	for _, file := range []string{"/usr/share/postfix/bounce.cf.default", "/etc/postfix/bounce.cf.default"} {
		if text, err := os.ReadFile(file); err == nil {
			if _, err := ParseTemplates(string(text), parameters); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// FuzzParseTemplates: what is read makes a well-formed notification.
func FuzzParseTemplates(f *testing.F) {
	f.Add(oneTemplate)
	f.Add("failure_template = << E\nCharset: iso-8859-1\nSubject: \xfc\nFrom: \xfc <a@b>\n\xfc ${mail_name?x}${relayhost:y}\nE\n")
	f.Add("failure_template = <<E\nFrom: a b <c@d>\nSubject: \x01\n\n${x\nE")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseTemplates(text, parameters)
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
