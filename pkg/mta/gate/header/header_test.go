package header

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
)

var noon = time.Date(2026, 3, 5, 12, 0, 0, 0, time.FixedZone("CET", 3600))

func submission() Rules {
	return Rules{
		Drop: Dropped(), AddMissing: true,
		Sender:    func() (addr.Address, error) { return addr.Address{Local: "joe", Domain: "a.example"}, nil },
		MessageID: "<1.Q@mx.example>", Date: noon,
	}
}

// undisclosed is a submission of no one, whose recipients nobody is to know.
func undisclosed() Rules {
	r := submission()
	r.Sender = func() (addr.Address, error) { return addr.Address{}, nil }
	r.Undisclosed = "To: undisclosed-recipients:;"
	return r
}

// edit feeds in in pieces of n bytes and returns the message as the queue
// would send it.
func edit(t *testing.T, rules Rules, in string, n int) (string, Found) {
	t.Helper()
	whole := in
	e := NewEditor(rules)
	for len(in) > 0 {
		k := min(n, len(in))
		if m, err := e.Write([]byte(in[:k])); m != k || err != nil {
			t.Fatalf("write: %d, %v", m, err)
		}
		in = in[k:]
	}
	found := e.Finish()
	if !found.Edited {
		return whole, found
	}
	return string(found.Block) + whole[found.Skip:], found
}

const added = "Message-Id: <1.Q@mx.example>|Date: Thu, 5 Mar 2026 12:00:00 +0100 (CET)|From: joe@a.example|"

const resent = "Resent-Message-Id: <1.Q@mx.example>|Resent-Date: Thu, 5 Mar 2026 12:00:00 +0100 (CET)|Resent-From: joe@a.example|"

func withDrop(field string) Rules {
	r := submission()
	r.Drop = []string{field}
	return r
}

// What Postfix's cleanup(8) makes of the same.
func TestEditor(t *testing.T) {
	long := strings.Repeat("x", 3*maxPending)
	for _, tc := range []struct {
		name, in, want string // "|" stands for CRLF
		rules          Rules
		hops           int
		msgid          string
	}{
		{"look only", "Received: a|Received:|\tb|Message-ID: <x@y>|Bcc: c||body|", "", Rules{}, 2, "<x@y>"},
		{"return path removed", "Return-Path: <a@b>|Subject: x||Return-Path: body|", "Subject: x||Return-Path: body|", Rules{Drop: Dropped()}, 0, ""},
		{"folded field removed whole", "A: 1|bcc : x,| y,|\tz|B: 2||t|", "A: 1|B: 2||t|", Rules{Drop: Dropped()}, 0, ""},
		{"submission, nothing there", "Subject: x||t|", "Subject: x|" + added + "|t|", submission(), 0, "<1.Q@mx.example>"},
		{"submission, all there", "date: x|FROM: y|Message-Id: <z@z>||t|", "", submission(), 0, "<z@z>"},
		{"submission without header", "|t|", added + "|t|", submission(), 0, "<1.Q@mx.example>"},
		{"submission without body", "Subject: x|", "Subject: x|" + added, submission(), 0, "<1.Q@mx.example>"},
		{"empty submission", "", added, submission(), 0, "<1.Q@mx.example>"},
		{"an empty field is there", "Message-Id:|Date: x|From: y||t|", "", submission(), 0, ""},
		{"what is removed was there", "Date: x|Subject: x||t|", "Subject: x|Message-Id: <1.Q@mx.example>|From: joe@a.example||t|", withDrop("date"), 0, "<1.Q@mx.example>"},
		{"sent on", "Date: x|From: y|Message-Id: <z@z>|Resent-To: a||t|", "Date: x|From: y|Message-Id: <z@z>|Resent-To: a|" + resent + "|t|", submission(), 0, "<z@z>"},
		{"sent on blindly", "Resent-Bcc: a||t|", resent + "|t|", submission(), 0, ""},
		{"sent on, some there", "Resent-Date: a|resent-message-id: <r@x>||t|", "Resent-Date: a|resent-message-id: <r@x>|Resent-From: joe@a.example||t|", submission(), 0, ""},
		{"sent on, all there", "Resent-Date: a|Resent-Message-ID: <r@x>|Resent-From: b||t|", "", submission(), 0, ""},
		{"no such field", "Resent-X: a||t|", "Resent-X: a|" + added + "|t|", submission(), 0, "<1.Q@mx.example>"},
		{"from nobody to nobody", "X: 1||t|", "X: 1|" + strings.Replace(added, "joe@a.example", "MAILER-DAEMON", 1) + "To: undisclosed-recipients:;||t|", undisclosed(), 0, "<1.Q@mx.example>"},
		{"to those in Cc", "From: a|Date: x|Message-Id: <z@z>|cc: b||t|", "", undisclosed(), 0, "<z@z>"},
		{"to those in Bcc", "From: a|Date: x|Message-Id: <z@z>|bcc: b||t|", "From: a|Date: x|Message-Id: <z@z>|To: undisclosed-recipients:;||t|", undisclosed(), 0, "<z@z>"},
		{"text where a header should be", "hello there|Bcc: x|", added + "|hello there|Bcc: x|", submission(), 0, "<1.Q@mx.example>"},
		{"text after a field", "A: 1|hello|", "A: 1||hello|", Rules{}, 0, ""},
		{"continuation of nothing", " x|A: 1|", "| x|A: 1|", Rules{}, 0, ""},
		{"unfinished last line", "A: 1", "A: 1", Rules{}, 0, ""},
		{"unfinished text", "A: 1|b", "A: 1||b", Rules{}, 0, ""},
		{"folded message id", "Message-ID:|  <a@b>||t|", "", Rules{}, 0, "<a@b>"},
		{"first message id counts", "Message-ID: <a@b>|Message-ID: <c@d>||t|", "", Rules{}, 0, "<a@b>"},
		{"control characters kept out of the log", "Message-ID: <a\x01\x7fb>||t|", "", Rules{}, 0, "<a??b>"},
		{"long line kept", "A: " + long + "|B: 1||t|", "", Rules{}, 0, ""},
		{"long line removed", "Bcc: " + long + "| " + long + "|B: 1||t|", "B: 1||t|", Rules{Drop: Dropped()}, 0, ""},
		{"long text is body", long + "|Bcc: 1|", "|" + long + "|Bcc: 1|", Rules{Drop: Dropped()}, 0, ""},
		{"name with 8-bit is no field", "S\xfcbject: x|", "|S\xfcbject: x|", Rules{}, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := strings.ReplaceAll(tc.in, "|", "\r\n")
			want := in
			if tc.want != "" {
				want = strings.ReplaceAll(tc.want, "|", "\r\n")
			}
			for _, n := range []int{1, 2, 3, 7, 100, 1 << 20} {
				got, found := edit(t, tc.rules, in, n)
				if got != want {
					t.Errorf("pieces of %d: got %q, want %q", n, got, want)
				}
				if (in != want) != found.Edited {
					t.Errorf("pieces of %d: edited is %v", n, found.Edited)
				}
				if found.Hops != tc.hops || found.MessageID != tc.msgid {
					t.Errorf("pieces of %d: found %+v", n, found)
				}
			}
		})
	}
}

// A sender that cannot be found out is an error of the message.
func TestSenderUnknown(t *testing.T) {
	rules := submission()
	rules.Sender = func() (addr.Address, error) { return addr.Address{}, errors.New("table is away") }
	if _, found := edit(t, rules, "Subject: x\r\n\r\n", 100); found.Err == nil {
		t.Error("no error")
	}
	if _, found := edit(t, rules, "From: x\r\n\r\n", 100); found.Err != nil {
		t.Errorf("it was not needed: %v", found.Err)
	}
}

// The identifier of who sent a message on is told beside the author's.
func TestResentID(t *testing.T) {
	in := "Resent-Message-ID:\r\n <r@b>\r\nResent-Message-ID: <s@b>\r\nMessage-ID: <a@b>\r\n\r\ntext\r\n"
	for _, n := range []int{1, 7, 1 << 20} {
		if _, found := edit(t, Rules{}, in, n); found.MessageID != "<a@b>" || found.ResentID != "<r@b>" {
			t.Errorf("pieces of %d: %q, resent %q", n, found.MessageID, found.ResentID)
		}
	}
}

// A header beyond the cap passes when nothing has to change, and is reported
// when something has to.
func TestHugeHeader(t *testing.T) {
	huge := strings.Repeat("X-Pad: "+strings.Repeat("x", 60)+"\r\n", 2*MaxBlock/60)
	for _, tc := range []struct {
		name, in string
		rules    Rules
		tooLarge bool
	}{
		{"untouched", huge + "\r\nbody", Rules{Drop: Dropped()}, false},
		{"removal in front", "Return-Path: x\r\n" + huge + "\r\nbody", Rules{Drop: Dropped()}, true},
		{"removal behind", huge + "Return-Path: x\r\n\r\nbody", Rules{Drop: Dropped()}, true},
		{"addition", huge + "\r\nbody", submission(), true},
	} {
		e := NewEditor(tc.rules)
		_, _ = e.Write([]byte(tc.in))
		if found := e.Finish(); found.TooLarge != tc.tooLarge || found.Block != nil {
			t.Errorf("%s: too large %v, block of %d bytes", tc.name, found.TooLarge, len(found.Block))
		}
	}
}

func TestTrace(t *testing.T) {
	base := Trace{
		Helo: "client.example", Name: "unknown", Peer: netip.MustParseAddr("192.0.2.1"), By: "mx.example",
		With: "ESMTPSA", QID: "4abc", For: addr.Address{Local: "joe", Domain: "a.example"}, Date: noon,
	}
	for _, tc := range []struct {
		name string
		edit func(*Trace)
		want string
	}{
		{"plain", func(*Trace) {}, "Received: from client.example (unknown [192.0.2.1])|\tby mx.example (Postcote) with ESMTPSA id 4abc|\tfor <joe@a.example>; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"many recipients", func(tr *Trace) { tr.For = addr.Address{} }, "Received: from client.example (unknown [192.0.2.1])|\tby mx.example (Postcote) with ESMTPSA id 4abc; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"IPv6", func(tr *Trace) {
			tr.Peer = netip.MustParseAddr("2001:db8::1")
			tr.Name = "h.example"
			tr.For = addr.Address{}
		}, "Received: from client.example (h.example [IPv6:2001:db8::1])|\tby mx.example (Postcote) with ESMTPSA id 4abc; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"hostile names", func(tr *Trace) { tr.Helo = "a\r\nX: y) (b;"; tr.Name = "n m"; tr.For = addr.Address{} }, "Received: from a??X:?y???b? (n?m [192.0.2.1])|\tby mx.example (Postcote) with ESMTPSA id 4abc; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"TLS and login", func(tr *Trace) {
			tr.TLS, tr.Kex, tr.Cert, tr.User = "TLSv1.3 with cipher C (256/256 bits)", "X25519", NoCert, "joe"
		}, "Received: from client.example (unknown [192.0.2.1])|\t(using TLSv1.3 with cipher C (256/256 bits)|\t key-exchange X25519)|\t(No client certificate requested)|\t(Authenticated sender: joe)|\tby mx.example (Postcote) with ESMTPSA id 4abc|\tfor <joe@a.example>; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"hostile login", func(tr *Trace) { tr.User, tr.For = "a)\r\nX: y (", addr.Address{} }, "Received: from client.example (unknown [192.0.2.1])|\t(Authenticated sender: a???X: y ?)|\tby mx.example (Postcote) with ESMTPSA id 4abc; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"hidden", func(tr *Trace) { tr.Hide, tr.User, tr.TLS = true, "joe", "TLSv1.3" }, "Received: by mx.example (Postcote) id 4abc|\tfor <joe@a.example>; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
		{"submit socket", func(tr *Trace) { tr.Local, tr.UID = true, 33 }, "Received: by mx.example (Postcote, from userid 33)|\tid 4abc|\tfor <joe@a.example>; Thu, 5 Mar 2026 12:00:00 +0100 (CET)|"},
	} {
		tr := base
		tc.edit(&tr)
		if got, want := string(tr.Append(nil)), strings.ReplaceAll(tc.want, "|", "\r\n"); got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", tc.name, got, want)
		}
	}
}

func TestWith(t *testing.T) {
	for want, got := range map[string]string{
		"SMTP":       With(false, true, true, true),
		"ESMTP":      With(true, false, false, false),
		"ESMTPS":     With(true, true, false, false),
		"ESMTPA":     With(true, false, true, false),
		"ESMTPSA":    With(true, true, true, false),
		"UTF8SMTP":   With(true, false, false, true),
		"UTF8SMTPSA": With(true, true, true, true),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// However the message is cut into pieces, the result is the same.
func FuzzEditor(f *testing.F) {
	f.Add("Received: x\r\nBcc: a\r\n b\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n", uint8(3))
	f.Add("\r\n", uint8(1))
	f.Add("no colon\r\nA: b", uint8(2))
	f.Fuzz(func(t *testing.T, in string, n uint8) {
		if n == 0 {
			return
		}
		one, foundOne := edit(t, submission(), in, max(len(in), 1))
		many, foundMany := edit(t, submission(), in, int(n))
		if one != many || !reflect.DeepEqual(foundOne, foundMany) {
			t.Fatalf("%q in pieces of %d: %q %+v, whole: %q %+v", in, n, many, foundMany, one, foundOne)
		}
	})
}

// A field is rewritten as a whole, however it was cut on the way.
func TestRewrite(t *testing.T) {
	const in = "From: joe\r\nBcc: x\r\nTo: ann,\r\n bob\r\nSubject: joe\r\nCc: last\r\n\r\nTo: body\r\n"
	const want = "From: JOE\r\nTo: ANN,\r\n BOB\r\nSubject: joe\r\nCc: LAST\r\n\r\n"
	for _, step := range []int{1, 3, 7, len(in)} {
		e := NewEditor(Rules{Drop: []string{"bcc"}, Rewrite: func(name, value string) (string, bool, error) {
			return strings.ToUpper(value), name != "subject", nil
		}})
		for rest := in; rest != ""; {
			n := min(step, len(rest))
			_, _ = e.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		found := e.Finish()
		if string(found.Block) != want || found.Skip != int64(strings.Index(in, "To: body")) || found.Err != nil {
			t.Errorf("in pieces of %d: %q, skip %d, %v", step, found.Block, found.Skip, found.Err)
		}
	}
	e := NewEditor(Rules{Rewrite: func(string, string) (string, bool, error) { return "", false, errors.New("away") }})
	_, _ = e.Write([]byte("From: joe"))
	if found := e.Finish(); found.Err == nil || found.Edited {
		t.Errorf("%+v", found)
	}
}

// An editor that is used again knows nothing of the message before.
func TestEditorsAreUsedAgain(t *testing.T) {
	var pool Editors
	long := "Subject: " + strings.Repeat("x", 2*maxSpare) + "\r\n\r\n"
	rules := Rules{Drop: []string{"bcc"}, Touches: func(name []byte) bool { return string(name) == "to" }, Rewrite: func(name, value string) (string, bool, error) {
		if name != "to" {
			t.Errorf("%s was not to be seen", name)
		}
		return strings.ToUpper(value), true, nil
	}}
	for _, in := range []string{"From: joe\r\nBcc: x\r\nTo: ann\r\n\r\n", "Bcc: x", long, "no header\r\n", "", "To: a", "Message-Id: <1>\r\nTo: b\r\n\r\nbody"} {
		fresh, again := NewEditor(rules), pool.Get(rules)
		_, _ = fresh.Write([]byte(in))
		_, _ = again.Write([]byte(in))
		a, b := fresh.Finish(), again.Finish()
		if string(a.Block) != string(b.Block) || a.Skip != b.Skip || a.Edited != b.Edited || a.MessageID != b.MessageID {
			t.Errorf("%.20q: %+v, want %+v", in, b, a)
		}
		pool.Put(again)
	}
}
