package bounce

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// TestSameAsPostfix holds notices of the same events against what Postfix 3.7
// has written: testdata/postfix, without its sentences. All differences are
// those that docs/mtad/dsn.md lists; canonical takes them away.
func TestSameAsPostfix(t *testing.T) {
	to := func(address, orcpt, original string, st queue.State) queue.NoticeRecipient {
		r := queue.NoticeRecipient{Recipient: queue.Recipient{Addr: mustParse(t, address), ORCPT: orcpt}, State: st, Transport: "smtp"}
		if original != "" {
			r.Original = mustParse(t, original)
		}
		return r
	}
	said := func(status queue.Status, code queue.Code, reply string) queue.State {
		return queue.State{
			Status: status, Code: code, Diagnostic: reply, Remote: "127.0.0.1", Last: now(),
			Reason: "host 127.0.0.1[127.0.0.1] said: " + reply + " (in reply to RCPT TO command)",
		}
	}
	refused := said(queue.Failed, queue.Code{Class: 5, Subject: 1, Detail: 1}, "550 5.1.1 no such user here")
	later := said(queue.Deferred, queue.Code{Class: 4, Subject: 2, Detail: 1}, "450 4.2.1 come back later")
	down := queue.State{Status: queue.Deferred, Code: queue.Code{Class: 4, Subject: 4, Detail: 1}, Reason: "connect to 127.0.0.1[127.0.0.1]:2699: Connection refused", Last: now()}
	sent := func(reply string) queue.State {
		return queue.State{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: reply, Diagnostic: reply, Remote: "127.0.0.1", Last: now()}
	}
	here := queue.State{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "delivered to maildir", Last: now()}
	expanded := to("team@box.example", "", "", queue.State{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "alias expanded", Last: now()})
	expanded.Transport = queue.Expanded
	mailbox := to("ann@box.example", "", "", here)
	mailbox.Transport = "virtual"

	failed := []queue.NoticeRecipient{
		to("multi@far.example", "", "", said(queue.Failed, queue.Code{Class: 5, Subject: 1, Detail: 1}, "550-5.1.1 mailbox unavailable 550 5.1.1 user has moved")),
		to("nocode@far.example", "", "", said(queue.Failed, queue.Code{Class: 5}, "550 error - no such recipient")),
		to("refused@far.example", "rfc822;Refused+x@far.example", "", refused),
		to("refused@far.example", "", "gone@box.example", refused),
	}
	probed := sent("250 2.1.5 Ok")
	probed.Code = queue.Code{Class: 2, Subject: 1, Detail: 5}
	wide := []queue.NoticeRecipient{to("refusedü@utf.example", "utf-8;refusedü@utf.example", "", refused)}
	for name, c := range map[string]struct {
		kind  queue.NoticeKind
		envid string
		ret   queue.Return
		rcpts []queue.NoticeRecipient
	}{
		"failure":      {queue.NoticeFailure, "QQ+314159", 0, failed},
		"copy":         {queue.NoticeFailureCopy, "QQ+314159", 0, failed},
		"headers":      {queue.NoticeFailure, "", queue.ReturnHeaders, []queue.NoticeRecipient{to("refused@far.example", "", "", refused)}},
		"double":       {queue.NoticeDouble, "", 0, []queue.NoticeRecipient{to("refused@far.example", "", "", refused)}},
		"delay":        {queue.NoticeDelay, "", 0, []queue.NoticeRecipient{to("x@down.example", "", "", down), to("later@far.example", "", "", later)}},
		"delay_copy":   {queue.NoticeDelayCopy, "", 0, []queue.NoticeRecipient{to("x@down.example", "", "", down), to("later@far.example", "", "", later)}},
		"success":      {queue.NoticeSuccess, "x", queue.ReturnFull, []queue.NoticeRecipient{expanded, mailbox, to("friend@far.example", "", "", sent("250 2.0.0 Ok queued as N"))}},
		"verify":       {queue.NoticeVerify, "", 0, []queue.NoticeRecipient{to("friend@far.example", "", "", probed), to("later@far.example", "", "", later), to("refused@far.example", "", "", refused)}},
		"utf8":         {queue.NoticeFailure, "", 0, wide},
		"utf8_headers": {queue.NoticeFailure, "", queue.ReturnHeaders, wide},
	} {
		t.Run(name, func(t *testing.T) {
			recorded, err := os.ReadFile("testdata/postfix/" + name + ".eml")
			if err != nil {
				t.Fatal(err)
			}
			theirs := strings.ReplaceAll(string(recorded), "\n", "\r\n")
			n := &queue.Notice{
				Kind: c.kind, To: mustParse(t, "joe@ours.example"), ID: 1, Recipients: c.rcpts, Now: now(), Expires: now().Add(time.Hour),
				Envelope: &queue.Envelope{Sender: mustParse(t, "joe@ours.example"), Arrival: now(), EnvID: c.envid, Return: c.ret, SMTPUTF8: strings.HasPrefix(name, "utf8")},
			}
			if c.kind.ForPostmaster() {
				n.To = mustParse(t, "postmaster@ours.example")
			}
			if c.kind == queue.NoticeDouble {
				n.Envelope.Sender = addr.Address{}
			}
			if c.kind != queue.NoticeVerify {
				n.Open = content(t, returned(theirs)+"\r\ntext\r\n")
			}
			composer := Composer{Hostname: "mx.ours.example", Origin: "ours.example"}
			var ours bytes.Buffer
			if _, err := composer.Compose(context.Background(), &ours, 2, n); err != nil {
				t.Fatal(err)
			}
			want, got := canonical(theirs, c.kind), canonical(ours.String(), c.kind)
			if !slices.Equal(want, got) {
				t.Errorf("Postfix:\n%s\n\nours:\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
			}
		})
	}
}

// returned is the header that Postfix returns, without the field that it adds.
func returned(theirs string) string {
	parts := strings.Split(theirs, "\r\n--")
	_, text, _ := strings.Cut(parts[3], "\r\n\r\n")
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	return strings.TrimRight(regexp.MustCompile(`Return-Path: [^\r]*\r\n`).ReplaceAllString(head, ""), "\r\n") + "\r\n"
}

// canonical is the skeleton of a notice: its header, the headers of its parts,
// the paragraphs about recipients and the fields of the status, one in a line.
func canonical(text string, kind queue.NoticeKind) (out []string) {
	text = regexp.MustCompile(`\r\n[ \t]+([^\r])`).ReplaceAllString(text, " $1")
	parts := strings.Split(text, "\r\n--")
	head, _, _ := strings.Cut(parts[0], "\r\n\r\n")
	for f := range strings.SplitSeq(head, "\r\n") {
		name, _, _ := strings.Cut(f, ":")
		switch name {
		case "Content-Transfer-Encoding": // theirs is always 8bit
			continue
		case "Received", "Date", "Message-Id", "Content-Type":
			f = name
		}
		out = append(out, f)
	}
	for i, p := range parts[1:min(len(parts), 4)] {
		head, body, _ := strings.Cut(p, "\r\n\r\n")
		for f := range strings.SplitSeq(head, "\r\n") {
			if strings.HasPrefix(f, "Content-Description: ") || strings.HasPrefix(f, "Content-Type: ") {
				out = append(out, regexp.MustCompile(`; charset=.*`).ReplaceAllString(f, ""))
			}
		}
		switch i {
		case 0:
			out = append(out, paragraphs(body, kind)...)
		case 1:
			out = append(out, fields(body, kind)...)
		}
	}
	if kind == queue.NoticeVerify { // there is no message; Postfix returns the header of its probe
		out = slices.DeleteFunc(out, func(s string) bool {
			return s == "Content-Description: Message Headers" || s == "Content-Type: text/rfc822-headers"
		})
	}
	return out
}

var (
	via = regexp.MustCompile(`: delivery via [^ ]+: `)
	nth = regexp.MustCompile(`queued as \w+`)
)

func paragraphs(body string, kind queue.NoticeKind) (out []string) {
	for l := range strings.SplitSeq(body, "\r\n") {
		framed := strings.HasPrefix(l, "This is the mail system at host") || strings.Contains(l, " The mail system")
		if strings.HasPrefix(l, "<") || framed && !kind.ForPostmaster() {
			out = append(out, nth.ReplaceAllString(via.ReplaceAllString(strings.TrimSpace(l), ": "), "queued as N"))
		}
	}
	return out
}

func fields(body string, kind queue.NoticeKind) (out []string) {
	for group := range strings.SplitSeq(strings.TrimRight(body, "\r\n"), "\r\n\r\n") {
		var final, action string
		var list []string
		for f := range strings.SplitSeq(group, "\r\n") {
			f = strings.NewReplacer("X-Postcote", "X-Postfix", "x-postcote; ", "X-Postfix; ").Replace(f)
			name, value, _ := strings.Cut(f, ": ")
			switch name {
			case "Arrival-Date", "Will-Retry-Until", "X-Postfix-Queue-ID":
				f = name
				if kind == queue.NoticeVerify && name == "X-Postfix-Queue-ID" {
					continue
				}
			case "X-Postfix-Sender":
				if kind == queue.NoticeDouble {
					continue
				}
			case "Last-Attempt-Date":
				continue
			case "Final-Recipient":
				final = strings.Replace(value, " ", "", 1)
			case "Action":
				action = value
			case "Diagnostic-Code":
				if action == "delivered" || action == "expanded" || action == "deliverable" {
					continue
				}
			}
			list = append(list, nth.ReplaceAllString(f, "queued as N"))
		}
		// Theirs has an original recipient always, and in second place.
		list = slices.DeleteFunc(list, func(f string) bool {
			return f == "Original-Recipient: "+final || f == "Original-Recipient: "+strings.Replace(final, "utf-8;", "rfc822;", 1)
		})
		slices.SortStableFunc(list, func(a, b string) int {
			first := func(s string) int {
				if strings.HasPrefix(s, "Original-Recipient: ") {
					return 0
				}
				return 1
			}
			return first(a) - first(b)
		})
		out = append(append(out, list...), "")
	}
	return out
}
