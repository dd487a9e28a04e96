package header

import (
	"strings"
	"testing"
)

func TestWide(t *testing.T) {
	for _, c := range []struct {
		what, message string
		needed, valid bool
	}{
		{"ASCII", "Subject: x\n\nx\n", false, false},
		{"8-bit text", "Subject: x\n\ngrüße\n", false, false},
		{"field", "Subject: grüße\n\nx\n", true, true},
		{"folded", "Subject: x\n grüße\n\nx\n", true, true},
		{"Latin-1", "Subject: gr\xfc\xdfe\n\nx\n", true, false},
		{"header only", "Subject: grüße", false, false}, // messages end in a line end
		{"long field", "X: " + strings.Repeat("x", maxWideLine) + "ü\n\nx\n", true, true},
		{"cut character", "X: " + strings.Repeat("x", maxWideLine-4) + "ü\n\nx\n", true, true},
		{"long text", "X: x\n\n" + strings.Repeat("x", maxWideLine) + "ü\n", false, false},
		{"part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Description: grüße\n\nx\n--b--\n", true, true},
		{"text of a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\ngrüße\n--b--\n", false, false},
		{"message in a part", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: Message/RFC822\n\nSubject: grüße\n\nx\n--b--\n", true, true},
		{"message in a message", "Content-Type: message/rfc822\n\nSubject: grüße\n\nx\n", true, true},
		{"message in a message in a message", "Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: grüße\n\nx\n", true, true},
		{"text of a message in a message", "Content-Type: message/rfc822\n\nSubject: x\n\ngrüße\n", false, false},
		{"signature", "Subject: x\n\nx\n-- \nJörg\n", true, true}, // who knows
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			var w Wide
			for text := strings.ReplaceAll(c.message, "\n", "\r\n"); text != ""; {
				n := min(size, len(text))
				_, _ = w.Write([]byte(text[:n]))
				text = text[n:]
			}
			if w.Needed() != c.needed || w.UTF8() != c.valid {
				t.Errorf("%s by %d: %v, %v", c.what, size, w.Needed(), w.UTF8())
			}
		}
	}
}

// FuzzWide: pieces do not matter, and ASCII never needs anything.
func FuzzWide(f *testing.F) {
	f.Add([]byte("Subject: gr\xc3\xbc\xc3\x9fe\r\n\r\n--b\r\nX: \xff\r\n\r\n"), 3)
	f.Add([]byte("Content-Type: message/rfc822\r\n\r\nSubject: \xff\r\n\r\nx\r\n"), 1)
	f.Fuzz(func(t *testing.T, message []byte, size int) {
		if size < 1 {
			return
		}
		var whole, pieces Wide
		_, _ = whole.Write(message)
		for text := message; len(text) > 0; {
			n := min(size, len(text))
			_, _ = pieces.Write(text[:n])
			text = text[n:]
		}
		if whole.Needed() != pieces.Needed() {
			t.Fatalf("%v as a whole, %v in pieces of %d", whole.Needed(), pieces.Needed(), size)
		}
		if whole.Needed() && ascii(message) || whole.UTF8() && !whole.Needed() {
			t.Fatal("needed for nothing")
		}
	})
}
