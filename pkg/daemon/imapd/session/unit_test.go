package session

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/daemon/imapd/maildrop"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// The lines that log parsers know from Dovecot.
func TestClassicLines(t *testing.T) {
	f := facts{user: "alice", pid: 42, session: "DvVPC/JgDNF/AAAB", peer: netip.MustParseAddr("192.0.2.1"), tls: "TLSv1.3"}
	sum := server.Summary{Reason: "Logged out", In: 829, Out: 3891, HdrCount: 1, HdrBytes: 20, BodyCount: 2, BodyBytes: 30, Deleted: 3, Expunged: 4, Trashed: 5}
	tag, text := imapClosed{f, sum}.Classic()
	if tag != "imap(alice)<42><DvVPC/JgDNF/AAAB>" ||
		text != "Disconnected: Logged out in=829 out=3891 deleted=3 expunged=4 trashed=5 hdr_count=1 hdr_bytes=20 body_count=2 body_bytes=30" {
		t.Errorf("%s: %s", tag, text)
	}
	rules, err := maildrop.Default().Rules()
	if err != nil {
		t.Fatal(err)
	}
	st := pop3.Stats{Reason: "Logged out", Top: 1, TopBytes: 252, Deleted: 1, Messages: 1, Size: 3547}
	tag, text = pop3Closed{f, st, rules.Words(st)}.Classic()
	if tag != "pop3(alice)<42><DvVPC/JgDNF/AAAB>" || text != "Disconnected: Logged out top=1/252, retr=0/0, del=1/1, size=3547" {
		t.Errorf("%s: %s", tag, text)
	}
	var keys []string
	for _, a := range (imapClosed{f, sum}).Attrs() {
		keys = append(keys, a.Key)
	}
	for _, k := range []string{"user", "session", "peer", "tls", "duration", "reason", "in", "out"} {
		if !slices.Contains(keys, k) {
			t.Errorf("no %s in %v", k, keys)
		}
	}
	if (imapClosed{}).Level() != slog.LevelInfo {
		t.Error("level")
	}
}

func TestFlags(t *testing.T) {
	sys, keywords := split([]imap.Flag{`\SEEN`, "$Junk", `\Flagged`, `\Recent`, "work"})
	if sys != mailbox.Seen|mailbox.Flagged || !slices.Equal(keywords, []string{"$Junk", "work"}) {
		t.Error(sys, keywords)
	}
	for _, n := range names() {
		if one, _ := split([]imap.Flag{n.imap}); one != n.store {
			t.Errorf("%s becomes %v", n.imap, one)
		}
		if got := system(n.store); got != n.row {
			t.Errorf("%v is shown as %v", n.store, got)
		}
	}
}

func TestHeaderBody(t *testing.T) {
	for raw, want := range map[string]string{
		"A: b\n\n":           "A: b\r\n\r\n",
		"A: b\r\nC: d\n\r\n": "A: b\r\nC: d\r\n\r\n",
		"":                   "",
		"\n":                 "\r\n",
	} {
		b := headerBody([]byte(raw))
		size := b.Size()
		got, err := io.ReadAll(b)
		if err != nil || string(got) != want || size != int64(len(want)) {
			t.Errorf("%q: %q of %d, %v", raw, got, size, err)
		}
	}
}

// What SEARCH looks at: decoded, header on demand, embedded headers too.
func TestSearchText(t *testing.T) {
	const text = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=b\n\n--b\n" +
		"Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\ncaf=E9\n--b\n" +
		"Content-Type: message/rfc822\n\nSubject: inner\n\nbody\n--b\nContent-Type: application/octet-stream\n\nbinary\n--b--\n"
	src := bytes.NewReader([]byte(text))
	root, err := message.ParseStructure(strings.NewReader(text), message.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range []bool{true, false} {
		b, err := io.ReadAll(searchText(src, root, header))
		if err != nil {
			t.Fatal(err)
		}
		for needle, want := range map[string]bool{
			"café": true, "body": true, "Subject: inner": true, "Grüße": header, "binary": false,
		} {
			if strings.Contains(string(b), needle) != want {
				t.Errorf("header %v: %q in %q", header, needle, b)
			}
		}
	}
}

// The example that is shipped, and the defaults, are without a mistake.
func TestConfig(t *testing.T) {
	cfg := Default()
	if err := conf.Load("../../../../deploy/config/imapd.yaml", &cfg); err != nil {
		t.Error(err)
	}
	for bad, want := range map[string]string{
		"auth_socket: auth":                "auth_socket",
		"index_dir: index":                 "index_dir",
		`events: {address: "127.0.0.1:1"}`: "events",
		"store_mode: both":                 "store_mode",
		"namespace_prefix: a.b":            "namespace_prefix",
	} {
		cfg := Default()
		if err := conf.Parse("imapd.yaml", []byte("role: session\n"+bad+"\n"), &cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for mode, want := range map[string]mailbox.Mode{"exclusive": mailbox.Exclusive, "shared": mailbox.Shared} {
		if got := (Config{StoreMode: mode}).mode(); got != want {
			t.Errorf("%s: %v", mode, got)
		}
	}
}
