package message

import (
	"io"
	"testing"
)

// AppendFields finds names without parsing; what is a field, and which, is as
// in a header that is parsed.
func TestAppendFieldsFindsWhatParsingFinds(t *testing.T) {
	const raw = "From: a\r\nfrom : b\nFrom\t: c\nFROM:\n\tfolded\nFro: d\nFrom-X: e\nSubject: x: y\r\n" +
		"  more: of it\nMessage-ID: <1@x>\nX: \nmessage-id:<2@x>\n"
	h := ParseHeader([]byte(raw+"\n"), DefaultLimits())
	for _, names := range [][]string{
		{"From"},
		{"FROM", "x"},
		{"subject"},
		{"Message-Id", "Fro"},
		{"more"},
		{"From "},
		{"From:"},
		{"x:"},
		{"absent"},
		{"From-X", "From", "Subject", "X"},
		{"Subject: x"},
		{"\x00"},
		{"\xff"},
	} {
		want, err := io.ReadAll(FieldsBody(h, names, false))
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendFields(nil, []byte(raw), names); string(got) != string(want) {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
	}
}

func BenchmarkAppendFields(b *testing.B) {
	raw := []byte("Return-Path: <somebody@example.org>\nDelivered-To: somebody@example.net\nMIME-Version: 1.0\n" +
		"Date: Mon, 1 Jan 2024 10:00:00 +0100\nFrom: Some Body <somebody@example.org>\nTo: Another <another@example.net>,\n\tthird@example.net\n" +
		"Subject: What was said about it\nMessage-ID: <123456789@example.org>\nReferences: <12345678@example.org>\n\t<1234567@example.org>\n" +
		"Content-Type: multipart/alternative; boundary=\"--=_x\"\nX-Mailer: mail 1.0\nList-Id: <list.example.org>\n")
	names := []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "References", "Content-Type"}
	var out []byte
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		out = AppendFields(out[:0], raw, names)
	}
}
