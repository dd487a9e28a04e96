package ldapwire

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// sample is an entry with a control.
func sample() []byte {
	text := func(s string) *ber.Packet {
		return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
	}
	entry := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	entry.AppendChild(text("uid=alice,dc=example,dc=org"))
	entry.AppendChild(ber.NewSequence(""))
	control := ber.NewSequence("")
	control.AppendChild(text(ldap.ControlTypePaging))
	controls := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
	controls.AppendChild(control)
	all := ber.NewSequence("")
	all.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, int64(7), ""))
	all.AppendChild(entry)
	all.AppendChild(controls)
	return all.Bytes()
}

func TestReadMessage(t *testing.T) {
	entry := sample()
	for _, tc := range []struct {
		name string
		in   string
		ok   bool
	}{
		{"entry with control", string(entry), true},
		{"long form", "\x30\x81\x03\x02\x01\x01", true},
		{"a set", "\x31\x03\x02\x01\x01", false},
		{"text", "HTTP/1.1 200 OK\r\n\r\n", false},
		{"nothing", "", false},
		{"cut", string(entry[:len(entry)-1]), false},
		{"indefinite", "\x30\x80\x02\x01\x01\x00\x00", false},
		{"indefinite inside", "\x30\x04\x30\x80\x00\x00", false},
		{"length in five bytes", "\x30\x85\x00\x00\x00\x00\x01\x05", false},
		{"two gigabytes", "\x30\x84\x7f\xff\xff\xff", false},
		{"child longer than its parent", "\x30\x03\x02\x04\x01", false},
		{"high tag", "\x30\x03\x1f\x21\x00", false},
		{"too many elements", message(strings.Repeat("\x05\x00", maxElements+1)), false},
		{"too large", message("\x04\x84\x00\x10\x00\x00" + strings.Repeat("x", 1<<20)), false},
		{"controls too large", message("\x02\x01\x01\x61\x00\xa0\x84\x00\x01\x00\x06\x04\x84\x00\x01\x00\x00" + strings.Repeat("x", 1<<16)), false},
	} {
		var left atomic.Int64
		left.Store(MaxAnswer)
		m, err := ReadMessage(strings.NewReader(tc.in+"more"), &left)
		if tc.name == "cut" {
			m, err = ReadMessage(strings.NewReader(tc.in), &left)
		}
		if (err == nil) != tc.ok || (tc.ok && string(m) != tc.in) {
			t.Errorf("%s: %d bytes, %v", tc.name, len(m), err)
		}
	}
	deep := ""
	for range maxDepth + 1 {
		deep = message(deep)
	}
	if wellFormed([]byte(deep), maxDepth, new(int)) {
		t.Error("nested too deeply")
	}
}

// message wraps body in a sequence with a length in four bytes.
func message(body string) string {
	n := len(body)
	return "\x30\x84" + string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) + body
}

func TestAnswersEnd(t *testing.T) {
	var left atomic.Int64
	left.Store(100)
	r := strings.NewReader(strings.Repeat("\x30\x03\x02\x01\x01", 100))
	n := 0
	for {
		if _, err := ReadMessage(r, &left); err != nil {
			break
		}
		n++
	}
	if n != 20 {
		t.Errorf("%d messages of 5 bytes out of 100", n)
	}
}

// What passes the guard is what the library's parser takes as one packet.
func FuzzMessage(f *testing.F) {
	f.Add(sample())
	f.Add([]byte("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00"))
	f.Add([]byte("\x30\x80\x02\x01\x01\x00\x00"))
	f.Add([]byte("HTTP/1.1 200 OK\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var left atomic.Int64
		left.Store(MaxAnswer)
		m, err := ReadMessage(bytes.NewReader(in), &left)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(in, m) || left.Load() != MaxAnswer-int64(len(m)) {
			t.Fatalf("%d bytes of %d", len(m), len(in))
		}
		p, err := ber.DecodePacketErr(m)
		if err == nil && p.Tag != ber.TagSequence {
			t.Fatalf("tag %d", p.Tag)
		}
	})
}
