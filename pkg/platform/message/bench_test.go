package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// mail15k is a typical message: 40 header lines, two alternatives, one attachment.
func mail15k() string {
	var b strings.Builder
	for range 20 {
		b.WriteString("Received: from mx.example.org (mx.example.org [192.0.2.1])\n\tby in.example.com with ESMTPS id 1234567890\n")
	}
	b.WriteString("From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\nTo: a@b.c, \"Q. Smith\" <q@x.y>\nSubject: a subject of some length\n" +
		"Date: Mon, 23 Nov 2026 14:14:22 +0100\nMessage-ID: <1234@example.org>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=-=-=\"\n\n")
	for _, typ := range []string{"text/plain; charset=utf-8", "text/html; charset=utf-8", "application/pdf; name=x.pdf"} {
		b.WriteString("--=-=-=\nContent-Type: " + typ + "\nContent-Transfer-Encoding: base64\n\n")
		b.WriteString(strings.Repeat(strings.Repeat("A", 76)+"\n", 55))
	}
	b.WriteString("--=-=-=--\n")
	return b.String()
}

func BenchmarkStructure(b *testing.B) {
	msg := []byte(mail15k())
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		p, err := ParseStructure(bytes.NewReader(msg), DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		AppendBodyStructure(nil, p, true)
	}
}

func BenchmarkCRLFReader(b *testing.B) {
	msg := []byte(mail15k())
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, NewCRLFReader(bytes.NewReader(msg), 0, int64(len(msg)))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAddresses(b *testing.B) {
	const value = "Some Body <somebody@example.org>, \"Q. Smith\" <q@x.example>,\n\t=?utf-8?q?J=C3=B6rg?= <joerg@example.net>, team@lists.example.com"
	b.ReportAllocs()
	for b.Loop() {
		ParseAddresses(value, 100)
	}
}
