package wire

import (
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

func TestReplyWire(t *testing.T) {
	long := strings.Repeat("word ", 200)
	for _, c := range []struct {
		name  string
		reply Reply
		want  string
	}{
		{"enhanced", MakeReply(250, 2, 1, 0, "Ok"), "250 2.1.0 Ok\r\n"},
		{"plain", Reply{Code: 354, Text: "Go"}, "354 Go\r\n"},
		{"empty text", Reply{Code: 250}, "250 \r\n"},
		{"lines", MakeReply(550, 5, 7, 1, "a\nb"), "550-5.7.1 a\r\n550 5.7.1 b\r\n"},
		{"no forged line", MakeReply(550, 5, 7, 1, "a\r\x00\x1bb\x7f"), "550 5.7.1 a???b?\r\n"},
		{"utf-8 is kept", Reply{Code: 550, Text: "bücher \xff"}, "550 bücher ?\r\n"},
		{"long", Reply{Code: 250, Text: long}, "250-" + strings.TrimSpace(long[:480]) + "\r\n250-" + strings.TrimSpace(long[480:960]) + "\r\n250 " + long[960:] + "\r\n"},
	} {
		if got := string(c.reply.Append(nil)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestReplyString(t *testing.T) {
	if got := MakeReply(550, 5, 1, 1, "a\nb").String(); got != "550-5.1.1 a 550 5.1.1 b" {
		t.Error(got)
	}
	if got := (Reply{Code: 250}).String(); got != "250" {
		t.Error(got)
	}
}

func said(r Reply, s string) Reply {
	r.Said = s
	return r
}

func TestReadReply(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Reply
		bad      bool
	}{
		{"one line", "250 2.1.5 Ok\r\n", MakeReply(250, 2, 1, 5, "Ok"), false},
		{"code alone", "250\r\n", Reply{Code: 250}, false},
		{"code and blank", "250 \r\n", Reply{Code: 250}, false},
		{"LF", "250 hi\n", Reply{Code: 250, Text: "hi"}, false},
		{"lines", "550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n", MakeReply(550, 5, 1, 1, "a\nb\nc"), false},
		{"enhanced once", "550-5.1.1 a\r\n550 b\r\n", said(MakeReply(550, 5, 1, 1, "a\nb"), "550-5.1.1 a 550 b"), false},
		{"the last enhanced counts", "550-5.1.1 a\r\n550 5.7.1 b\r\n", said(MakeReply(550, 5, 7, 1, "5.1.1 a\nb"), "550-5.1.1 a 550 5.7.1 b"), false},
		{"the last code counts", "450-4.1.1 a\r\n550 5.1.1 b\r\n", said(MakeReply(550, 5, 1, 1, "4.1.1 a\nb"), "450-4.1.1 a 550 5.1.1 b"), false},
		{"a line of something else", "hello\r\n250 2.0.0 a\r\n", said(MakeReply(250, 2, 0, 0, "hello\na"), "hello 250 2.0.0 a"), false},
		{"an empty line", "\r\n250 a\r\n", said(Reply{Code: 250, Text: "\na"}, "250 a"), false},
		{"within a reply", "250-a\r\nb\x1b\r\n250 c\r\n", said(Reply{Code: 250, Text: "a\nb?\nc"}, "250-a b? 250 c"), false},
		{"preliminary", "150 a\r\n", Reply{Code: 150, Text: "a"}, false},
		{"class differs", "550 4.1.1 a\r\n", Reply{Code: 550, Text: "4.1.1 a"}, false},
		{"354 has none", "354 3.0.0 go\r\n", Reply{Code: 354, Text: "3.0.0 go"}, false},
		{"enhanced alone", "250 2.0.0\r\n", MakeReply(250, 2, 0, 0, ""), false},
		{"too many parts", "250 2.0.0.1 x\r\n", Reply{Code: 250, Text: "2.0.0.1 x"}, false},
		{"controls", "250 a\x1bb\r\n", Reply{Code: 250, Text: "a?b"}, false},
		{"endless garbage", strings.Repeat("hello\r\n", 300) + "250 a\r\n", Reply{}, true},
		{"garbage", "hello\r\n", Reply{}, true},
		{"first digit", "650 a\r\n", Reply{}, true},
		{"separator", "250+a\r\n", Reply{}, true},
		{"empty", "\r\n", Reply{}, true},
		{"too many lines", strings.Repeat("250-a\r\n", 300) + "250 a\r\n", Reply{}, true},
		{"too much text", strings.Repeat("250-"+strings.Repeat("a", 3000)+"\r\n", 20) + "250 a\r\n", Reply{}, true},
		{"line too long", "250 " + strings.Repeat("a", 5000) + "\r\n", Reply{}, true},
		{"unfinished", "250-a\r\n", Reply{}, true},
	} {
		r := NewReader(strings.NewReader(c.in), NewBuffers(8192))
		got, err := r.ReadReply(DefaultReplyLimits())
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
}

func TestParseEnhanced(t *testing.T) {
	if e, ok := ParseEnhanced("5.7.11"); !ok || e != (smtp.EnhancedCode{5, 7, 11}) {
		t.Error(e, ok)
	}
	for _, s := range []string{"", "5", "5.1", "5.1.1.1", "5.1.1 x", "6.1.1", "3.1.1", "5.1111.1", "5..1"} {
		if e, ok := ParseEnhanced(s); ok {
			t.Errorf("%q gives %v", s, e)
		}
	}
}

// What Append writes, ReadReply reads.
func FuzzReply(f *testing.F) {
	f.Add(550, "5.1.1 no such user")
	f.Add(250, "a\nb\r\xffc")
	f.Fuzz(func(t *testing.T, code int, text string) {
		if code < 200 || code > 599 || len(text) > 4000 || strings.Count(text, "\n") > 100 {
			return
		}
		rep := Reply{Code: code, Text: text}
		if code/100 != 3 {
			rep.Enhanced = smtp.EnhancedCode{code / 100, 1, 2}
		}
		out := rep.Append(nil)
		r := NewReader(strings.NewReader(string(out)), NewBuffers(8192))
		got, err := r.ReadReply(DefaultReplyLimits())
		if err != nil || got.Code != code || got.Enhanced != rep.Enhanced || r.Buffered() > 0 {
			t.Fatalf("%q -> %q -> %+v %v, %d left", text, out, got, err, r.Buffered())
		}
		for _, line := range strings.Split(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			if len(line) > 510 {
				t.Fatalf("line of %d octets", len(line))
			}
		}
	})
}

func TestAppendEscaped(t *testing.T) {
	got := string(AppendEscaped([]byte("x"), []byte("a \"b\"\\\r\n\t\a\b\f\v\x00\x16\x7f\xff")))
	if want := `xa "b"\\\r\n\t\a\b\f\v\000\026\177\377`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
