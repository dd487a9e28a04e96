package postfixcmd

import (
	"io"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
)

func TestGetopt(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-ti -fjoe x", "t i f=joe | x"},
		{"-tif joe x", "t i f=joe | x"},
		{"-f joe -- -x", "f=joe | -x"},
		{"-oem -odi", "o=em o=di | "},
		{"x -t", " | x -t"},
		{"-", " | -"},
		{"-tZ", "t ?Z | "},
		{"-t -f", "t ?f | "},
	} {
		opts, rest, bad := getopt(strings.Fields(c.args), sendmailOptions)
		var got []string
		for _, o := range opts {
			s := string(o.letter)
			if o.value != "" {
				s += "=" + o.value
			}
			got = append(got, s)
		}
		if bad != 0 {
			got = append(got, "?"+string(bad))
		}
		if s := strings.Join(got, " ") + " | " + strings.Join(rest, " "); s != c.want {
			t.Errorf("%q: %q, want %q", c.args, s, c.want)
		}
	}
}

func TestReadMessage(t *testing.T) {
	for _, c := range []struct {
		name, in string
		letter   letter
		want     string
		rcpts    string
	}{
		{"plain", "A: b\n\nx", letter{}, "A: b\r\n\r\nx\r\n", ""},
		{"CRLF", "A: b\r\n\r\nx\r\n", letter{}, "A: b\r\n\r\nx\r\n", ""},
		{"folded", "To: a@x,\n b@y\n\nz\n", letter{fromHeader: true}, "To: a@x,\r\n b@y\r\n\r\nz\r\n", "a@x b@y"},
		{"completed", "To: joe\n\n", letter{fromHeader: true}, "To: joe\r\n\r\n", "joe@o.example"},
		{"dot", "A: b\n\nx\n.\ny\n", letter{dotEnds: true}, "A: b\r\n\r\nx\r\n", ""},
		{"dot in the header", "A: b\n.\ny\n", letter{dotEnds: true}, "A: b\r\n\r\n", ""},
		{"dot without a line end", "A: b\n\nx\n.", letter{dotEnds: true}, "A: b\r\n\r\nx\r\n", ""},
		{"no header", "text: \x01 is\n", letter{}, "text: \x01 is\r\n\r\n", ""},
		{"no header at all", "just text\nmore\n", letter{}, "\r\njust text\r\nmore\r\n", ""},
		{"bare CR at the end of a block", "A: b\n\n" + strings.Repeat("x", blockSize-1) + "\r\ny\n", letter{}, "A: b\r\n\r\n" + strings.Repeat("x", blockSize-1) + "\r\ny\r\n", ""},
		{"long header line", "A: " + strings.Repeat("x", 2*blockSize) + "\n c\n\ny\n", letter{}, "A: " + strings.Repeat("x", 2*blockSize) + "\r\n c\r\n\r\ny\r\n", ""},
		{
			"name that needs quotes", "\n",
			letter{fullName: `Doe, "J"`, sender: addr.Address{Local: "j", Domain: "x"}},
			"From: \"Doe, \\\"J\\\"\" <j@x>\r\n\r\n", "",
		},
		{
			"name beyond ASCII", "\n",
			letter{fullName: "Jö", sender: addr.Address{Local: "j", Domain: "x"}},
			"From: =?utf-8?q?J=C3=B6?= <j@x>\r\n\r\n", "",
		},
		{"name with a line end", "\n", letter{fullName: "a\nBcc: b", sender: addr.Address{Local: "j", Domain: "x"}}, "From: \"a Bcc: b\" <j@x>\r\n\r\n", ""},
	} {
		l := c.letter
		r, err := readMessage(strings.NewReader(c.in), &l, "o.example")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, _ := io.ReadAll(r)
		var rcpts []string
		for _, a := range l.rcpts {
			rcpts = append(rcpts, a.String())
		}
		if string(got) != c.want || strings.Join(rcpts, " ") != c.rcpts {
			t.Errorf("%s:\n%.300q to %v\nwant\n%.300q to %s", c.name, got, rcpts, c.want, c.rcpts)
		}
	}
	if _, err := readMessage(strings.NewReader(strings.Repeat("A: b\n", maxHeader/4)), &letter{}, "x"); err == nil {
		t.Error("a header without end was taken")
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"a@b.example":                   "a@b.example",
		"a":                             "a@o.example",
		"a, \"B, C\" <c@d.example>":     "a@o.example c@d.example",
		"group: a@b.example, c;, d@e.f": "a@b.example c@o.example d@e.f",
		"<a@b.example>":                 "a@b.example",
		"\"a b\"@c.example":             "\"a b\"@c.example",
		"a b@c.example":                 "error",
		"a@-b-":                         "error",
		"a\x00b":                        "error",
		"":                              "",
	} {
		list, err := addresses(in, "o.example")
		var texts []string
		for _, a := range list {
			texts = append(texts, a.String())
		}
		got := strings.Join(texts, " ")
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// FuzzReadMessage: whatever comes on standard input, every line that leaves
// ends in CRLF, no recipient can break a line of SMTP.
func FuzzReadMessage(f *testing.F) {
	for _, s := range []string{"To: a@b\n\nx\n", "To: a\r\n\tb\r\n\r\n.\r\n", ">From x\nA: b\r\r\n\n", "Resent-Bcc: x:y;\n\n\x00"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, in string, dots bool) {
		l := letter{fromHeader: true, dotEnds: dots}
		r, err := readMessage(strings.NewReader(in), &l, "o.example")
		if err != nil {
			return
		}
		out, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if s := string(out); strings.Count(s, "\n") != strings.Count(s, "\r\n") || !strings.HasSuffix(s, "\r\n") {
			t.Errorf("%q became %q", in, s)
		}
		for _, a := range l.rcpts {
			if strings.ContainsAny(a.Path(), "\r\n\x00") {
				t.Errorf("recipient %q", a.Path())
			}
		}
	})
}
