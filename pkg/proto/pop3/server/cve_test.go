package server

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// What broke others after login, by name, in POP3: each is answered, and the
// session goes on.
func TestCVE(t *testing.T) {
	for _, c := range []struct{ name, input string }{
		{"CVE-2019-11500 NUL", "RETR 1\x00\r\nDELE \x001\r\n"},
		{"CVE-2020-7046 bytes that are no UTF-8", "\xff\xfe\xc3\r\nRETR \xed\xa0\x80\r\n"},
		{"numbers beyond 64 bits", "RETR 18446744073709551617\r\nTOP 1 99999999999999999999\r\nDELE -1\r\nLIST 4294967297\r\n"},
		{"arguments without end", "UIDL " + strings.Repeat("1 ", 400) + "\r\nTOP " + strings.Repeat("9", 800) + " 1\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := net.Pipe()
			_ = client.SetDeadline(time.Now().Add(30 * time.Second))
			d := newDrop()
			go func() { Run(context.Background(), server, d, Options{}); server.Close() }()
			go func() { _, _ = io.WriteString(client, c.input+"NOOP\r\nQUIT\r\n") }()
			out, _ := io.ReadAll(client)
			if want := strings.Count(c.input, "\r\n"); strings.Count(string(out), "-ERR") != want || strings.Count(string(out), "+OK") != 3 || len(d.deleted) > 0 {
				t.Errorf("%d refusals wanted: %.500q", want, out)
			}
		})
	}
}
