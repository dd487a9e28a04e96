package digest

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/message"
)

func TestCollate(t *testing.T) {
	same := [][2]string{{"straße", "STRAßE"}, {"Ångström", "a\u030angstro\u0308m"}, {"abc", "ABC"}}
	for _, c := range same {
		if Collate(c[0]) != Collate(c[1]) {
			t.Errorf("%q and %q: %q and %q", c[0], c[1], Collate(c[0]), Collate(c[1]))
		}
	}
	if !(Collate("a") < Collate("B") && Collate("b") < Collate("C")) {
		t.Error("case decides an order")
	}
	if n := len(Collate(strings.Repeat("\ufdfa", 1000))); n > 2*MaxKey {
		t.Errorf("a key of %d bytes", n)
	}
}

func header(text string) message.Header {
	return message.ParseHeader([]byte(text), message.DefaultLimits())
}

func TestKeys(t *testing.T) {
	k := KeysOf(header("Date: Mon, 1 Jan 2024 10:00:00 +0200\nFrom: =?utf-8?q?J=C3=BCrgen?= <jw@a.example>\n" +
		"To: friends: <x@y.example>;\nCc: second@b.example, z@z.example\nSubject: =?utf-8?q?Re:_Gr=C3=B6=C3=9Fe?=\n" +
		"Message-ID: <3@a>\nReferences: <1@a> <2@a>\nIn-Reply-To: <9@a>\n\n"))
	if k.Sent.Unix() != 1704096000 {
		t.Error("sent", k.Sent)
	}
	if k.Subject != Collate("größe") || !k.Reply {
		t.Errorf("subject %q %v", k.Subject, k.Reply)
	}
	if k.From != "JW" || k.DisplayFrom != Collate("Jürgen") || k.Cc != "SECOND" || k.To != "FRIENDS" || k.DisplayTo != "FRIENDS" {
		t.Errorf("addresses %+v", k)
	}
	if len(k.References) != 2 || k.References[1] != hash("2@a") || k.MessageID != hash("3@a") {
		t.Errorf("ids %+v", k)
	}
	k = KeysOf(header("From: only@b.example\nIn-Reply-To: your mail <9@a> of <8@a>\n\n"))
	if len(k.References) != 1 || k.References[0] != hash("9@a") || k.MessageID != 0 || !k.Sent.IsZero() {
		t.Errorf("%+v", k)
	}
	if k.DisplayFrom != "ONLY@B.EXAMPLE" {
		t.Errorf("display %q", k.DisplayFrom)
	}
	long := KeysOf(header("References: " + strings.Repeat("<x@y> ", 5000) + "<last@y>\n\n"))
	if n := len(long.References); n != maxReferences || long.References[n-1] != hash("last@y") {
		t.Errorf("%d references", n)
	}
}

func TestPreview(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":       {"\nHello,\n  world.\n", "Hello, world."},
		"quoted":      {"\n> old\nnew\n-- \nsignature\n", "new"},
		"only quoted": {"\n> old\n> text\n", "old text"},
		"alternative": {
			"Content-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/html\n\n<p>rich</p>\n--b\n\nplain\n--b--\n", "plain",
		},
		"html": {
			"Content-Type: text/html\n\n<html><head><title>no</title></head><style>p{}</style><p>A&amp;B <b>bo</b>ld</p><!-- x > y --><br>end", "A&B bold end",
		},
		"attachment": {"Content-Type: text/plain\nContent-Disposition: attachment\n\nnot this\n", ""},
		"base64":     {"Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=iso-8859-1\n\nR3L832U=\n", "Grüße"},
		"controls":   {"\na\x00\x07b\n", "a b"},
		"long":       {"\n" + strings.Repeat("é", 300), strings.Repeat("é", PreviewRunes)},
	} {
		src := strings.NewReader(c.text)
		root, err := message.ParseStructure(strings.NewReader(c.text), message.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got := Preview(src, root); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func FuzzKeys(f *testing.F) {
	f.Add("Subject: [a][b] Re[c]: [fwd: x] (fwd)\nFrom: a:b;\nReferences: <a@b><c\n\n<html><head>")
	f.Add("Date: 1-Jan-2024\nSubject: =?utf-8?b?4oSi?=\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		k := KeysOf(header(text))
		for _, s := range []string{k.Subject, k.From, k.To, k.Cc, k.DisplayFrom, k.DisplayTo} {
			if len(s) > 2*MaxKey {
				t.Errorf("a key of %d bytes", len(s))
			}
		}
		root, err := message.ParseStructure(strings.NewReader(text), message.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if p := Preview(strings.NewReader(text), root); len([]rune(p)) > PreviewRunes {
			t.Errorf("a preview of %d characters", len([]rune(p)))
		}
	})
}
