package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestDecodeWords(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                "plain",
		"=?utf-8?Q?h=C3=A9_x?=":                "hé x",
		"a =?iso-8859-1?q?=E4?= b":             "a ä b",
		"=?utf-8?B?aMOp?= =?utf-8?b?aMOp?=":    "héhé",
		"=?utf-8?q?=C3?= =?utf-8?q?=A9?=":      "é", // a character cut in two
		"=?utf-8?q?=E4?=":                      "\uFFFD",
		"=?koi8-r?B?8NLJ18XU?=":                "Привет",
		"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=":   "日本",
		"=?gb2312?B?xOO6ww==?=":                "你好",
		"=?x-nobody-knows?q?abc?=":             "abc",
		"=?utf-8*en?q?lang?=":                  "lang",
		"=?utf-8?x?abc?=":                      "=?utf-8?x?abc?=",
		"=?utf-8?q?unclosed":                   "=?utf-8?q?unclosed",
		"=?utf-8?b?aMOp":                       "=?utf-8?b?aMOp",
		"=?utf-8?b?aMOp=?= x":                  "hé x",
		"raw \xe4":                             "raw \uFFFD",
		"=?utf-8?q?a?= text =?utf-8?q?b?= end": "a text b end",
	} {
		if got := DecodeWords(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestFileName(t *testing.T) {
	for in, want := range map[string]string{
		"attachment; filename=\"a.txt\"":                          "a.txt",
		"attachment; filename*=utf-8''h%C3%A9.txt; filename=x":    "hé.txt",
		"attachment; filename*0*=iso-8859-1'de'%E4; filename*1=b": "äb",
		"attachment; filename=\"=?utf-8?q?h=C3=A9?=\"":            "hé",
		"attachment; name*=broken":                                "broken",
		"inline":                                                  "",
	} {
		if got := parse(t, "Content-Disposition: "+in+"\n\n").FileName(); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("x", 4094)
	for _, c := range []struct{ head, body, want string }{
		{"", "plain\n", "plain\n"},
		{"Content-Type: text/html; charset=iso-8859-1\n", "\xe4\n", "ä\n"},
		{"Content-Transfer-Encoding: quoted-printable\n", "a=C3=A9 =\nb =3D =x\n", "aé b = =x\n"},
		{"Content-Transfer-Encoding: quoted-printable\n", long + "=41=\n=42", long + "AB"},
		{"Content-Transfer-Encoding: quoted-printable\n", strings.Repeat("=41", 9000), strings.Repeat("A", 9000)},
		{"Content-Transfer-Encoding: base64\n", "aMOp\naM!Op==\naA==aA\n", "héhéhh"},
		{"Content-Transfer-Encoding: Base64\nContent-Type: text/plain; charset=\"utf-16le\"\n", "YQBiAA==", "ab"},
		{"Content-Transfer-Encoding: x-unknown\n", "as it is", "as it is"},
	} {
		msg := c.head + "\n" + c.body
		for where, src := range map[string]io.ReaderAt{"stream": strings.NewReader(msg), "memory": inMemory(msg)} {
			r, ok := Text(src, parse(t, msg))
			if !ok {
				t.Errorf("%q is text", c.head)
				continue
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != c.want {
				t.Errorf("%q from %s: %v, got %q, want %q", msg, where, err, got, c.want)
			}
		}
	}
	const image = "Content-Type: image/png\n\nx"
	if _, ok := Text(strings.NewReader(image), parse(t, image)); ok {
		t.Error("an image is no text")
	}
}

// Every charset that is told of is known and can be converted from.
func TestCharsets(t *testing.T) {
	for _, name := range Charsets() {
		for _, name := range []string{name, strings.ToLower(name)} {
			if got, known := ToUTF8(name, "abc"); !known || got != "abc" {
				t.Errorf("%s: %q %v", name, got, known)
			}
		}
	}
	for charset, want := range map[string]string{
		"": "\xe9", "utf-8": "\xe9", "us-ascii": "\xe9", "iso-8859-1": "é", "koi8-r": "И", "euc-jp": "\ufffd", "latin1": "é",
	} {
		if got, known := ToUTF8(charset, "\xe9"); !known || got != want {
			t.Errorf("%s: %q %v", charset, got, known)
		}
	}
	// Not on a line, or nothing at all.
	for _, name := range []string{"utf-16", "utf-16le", "utf-7", "iso-2022-kr", "hz-gb-2312", "x-user-defined", "klingon"} {
		if got, known := ToUTF8(name, "x"); known || got != "x" {
			t.Errorf("%s: %q %v", name, got, known)
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Mon, 23 Nov 2026 14:14:22 +0130":         "2026-11-23T14:14:22+01:30",
		"23 Nov 2026 14:14 GMT":                   "2026-11-23T14:14:00Z",
		"Mon, 23 Nov 26 14:14:22 EST":             "2026-11-23T14:14:22-05:00",
		"Mon,23 Nov 1998 14:14:22 -0000":          "1998-11-23T14:14:22Z",
		"23-Nov-2026 14:14:22 +0000":              "2026-11-23T14:14:22Z",
		"(a) 1 (b) January (c) 2001 (d) 01:02:03": "2001-01-01T01:02:03Z",
		"1 Jan 2001":                     "2001-01-01T00:00:00Z",
		"1 Jan 99 00:00 +0000 (comment)": "1999-01-01T00:00:00Z",
		"":                               "",
		"yesterday":                      "",
		"32 Jan 2001 00:00:00":           "",
		"1 Foo 2001 00:00:00":            "",
		"1 Jan 2001 25:00:00 +0100":      "2001-01-01T00:00:00+01:00",
	} {
		got, ok := ParseDate(in)
		if text := got.Format(time.RFC3339); ok != (want != "") || ok && text != want {
			t.Errorf("%q: %v %s, want %q", in, ok, text, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("=?utf-8?q?=C3=A9?= =?gb2312?B?xOO6ww==?=")
	f.Add("1 Jan 2001 00:00:00 +0000; filename*0*=a'b'c; d=\"e")
	f.Fuzz(func(t *testing.T, s string) {
		if out := DecodeWords(s); !utf8.ValidString(out) {
			t.Fatalf("not UTF-8: %q", out)
		}
		for _, enc := range []string{"base64", "quoted-printable"} {
			p := &Part{Encoding: enc, BodyEnd: int64(len(s))}
			streamed, _ := Decoded(strings.NewReader(s), p)
			held, _ := Decoded(inMemory(s), p)
			a, _ := io.ReadAll(streamed)
			if b, err := io.ReadAll(held); err != nil || !bytes.Equal(a, b) {
				t.Fatalf("%s: %v, %q in memory, %q streamed", enc, err, b, a)
			}
		}
		ParseDate(s)
		v, ps := parseValue(s, 10)
		if len(ps) > 10 || len(v) > len(s) {
			t.Fatalf("%d parameters", len(ps))
		}
		for _, p := range ps {
			if !utf8.ValidString(DecodeParam(p)) {
				t.Fatalf("not UTF-8: %q", p)
			}
		}
	})
}
