package server

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// The ids are what Dovecot 2.3.19 sends for these formats.
func TestUIDLFormat(t *testing.T) {
	x := Facts{UID: 4, Validity: 0x6b0b16ef, File: "1700000030.M1P1.h,S=8,W=11", GUID: "1700000030.M1P1.h,S=8,W=11"}
	for _, k := range []struct{ format, want string }{
		{DefaultUIDL, "000000046b0b16ef"},
		{"%{uid | hex(8)}%{uidvalidity | hex(8)}", "000000046b0b16ef"},
		{"%{uid|hex(8)}%{uidvalidity|hex(8)}", "000000046b0b16ef"},
		{"%08Xv%08Xu", "6b0b16ef00000004"},
		{"%v.%u", "1795888879.4"},
		{"%{uidvalidity}.%{uid}", "1795888879.4"},
		{"%u", "4"},
		{"%f", "1700000030.M1P1.h,S=8,W=11"},
		{"%g", "1700000030.M1P1.h,S=8,W=11"},
		{"%Mf", "c31dbb5fd36a9c667ea0d3c0a03b16a4"},
		{"%{filename | md5 | hexlify}", "c31dbb5fd36a9c667ea0d3c0a03b16a4"},
		{"%u-%LMf", "4-d940f24f5f3fae925c3b8da184f2b615"},
		{"%2Mf.%1.3Mf", "c3.31d"},
		{"%UXvu%u", "6b0b16efu4"},
		{"%XUvu%u", "6B0B16EFu4"},
		{"%05u.%Ru.%Rv", "00004.4.9788885971"},
		{"%5Xu", "4"},
		{"%3Xv-%u", "6b0-4"},
		{"%Xf.%u", "0.4"},
		{"%%%u", "%4"},
		{"uid%u", "uid4"},
	} {
		f, err := ParseUIDL(k.format)
		if err != nil {
			t.Errorf("%s: %v", k.format, err)
			continue
		}
		if got := string(f.Append(nil, x)); got != k.want {
			t.Errorf("%s gives %q, Dovecot sends %q", k.format, got, k.want)
		}
	}
}

func TestUIDLFormatRefused(t *testing.T) {
	for _, k := range []struct{ format, why string }{
		{"", "look the same"},
		{"%v", "look the same"},
		{"mail", "look the same"},
		{"%u %v", "no client"},
		{"%u" + strings.Repeat("x", 70), "no client"},
		{"%m", "mbox"},
		{"%h%u", "no variable"},
		{"%u%", "no name"},
		{"%99u", "width"},
		{"%{uid", "not closed"},
		{"%{uid | rot13}", "no filter"},
		{"%{uid | hex(x)}", "number"},
	} {
		if _, err := ParseUIDL(k.format); !fail.Is(err, fail.Invalid) || !strings.Contains(err.Error(), k.why) {
			t.Errorf("%q: %v, want something of %q", k.format, err, k.why)
		}
	}
}

// A name that may not be sent as it is becomes a digest, always the same.
func TestUIDLOfOddNames(t *testing.T) {
	f, err := ParseUIDL("%f")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{strings.Repeat("n", 71), "with space", "\xff"} {
		a, b := string(f.Append(nil, Facts{File: name})), string(f.Append([]byte("3 "), Facts{File: name}))
		if !ValidUIDL(a) || b != "3 "+a {
			t.Errorf("%q gives %q and %q", name, a, b)
		}
	}
}

// Whatever the format, what it yields may be sent.
func FuzzUIDLFormat(f *testing.F) {
	f.Add("%08Xu%08Xv", uint32(1), uint32(2), "1.M1.h")
	f.Add("%{filename | md5 | hexlify}%2.3LMf", uint32(1), uint32(2), "\x00")
	f.Fuzz(func(t *testing.T, format string, uid, validity uint32, file string) {
		u, err := ParseUIDL(format)
		if err != nil {
			return
		}
		got := u.Append(nil, Facts{UID: uid, Validity: validity, File: file, GUID: file})
		if u.Names() && !validUIDL(got) {
			t.Fatalf("%q gives %q", format, got)
		}
	})
}

func BenchmarkUIDL(b *testing.B) {
	f, _ := ParseUIDL(DefaultUIDL)
	var buf [64]byte
	for b.Loop() {
		f.Append(buf[:0], Facts{UID: 12345, Validity: 1795888879})
	}
}
