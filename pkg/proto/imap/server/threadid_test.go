package server

import (
	"testing"
)

// RFC 8474 section 5.2: related messages have one THREADID, whoever asks, and
// others another.
func TestThreadID(t *testing.T) {
	const id = "Message-ID: <"
	for _, c := range []struct {
		name, one, other string
		same             bool
	}{
		{"an answer", id + "a@x>\r\n\r\n", id + "b@x>\r\nReferences: <a@x>\r\n\r\n", true},
		{"an answer to an answer", id + "a@x>\r\n\r\n", id + "c@x>\r\nReferences: <a@x> <b@x>\r\n\r\n", true},
		{"an answer by In-Reply-To", id + "a@x>\r\n\r\n", id + "b@x>\r\nIn-Reply-To: <a@x>\r\n\r\n", true},
		{"another message", id + "a@x>\r\n\r\n", id + "b@x>\r\n\r\n", false},
		{"messages without any id", "Subject: a\r\n\r\n", "Subject: bb\r\n\r\n", false},
		{"the same without any id", "Subject: a\r\n\r\n", "Subject: a\r\n\r\n", true},
	} {
		a := newFakeAccount()
		of := func(text string) string {
			got, err := threadID(t.Context(), &fakeContent{a: a, m: &fakeMessage{text: text}})
			if err != nil || got == "" || got[0] != 'T' {
				t.Fatalf("%s: %q, %v", c.name, got, err)
			}
			return got
		}
		if one, other := of(c.one), of(c.other); (one == other) != c.same {
			t.Errorf("%s: %s and %s", c.name, one, other)
		}
	}
}
