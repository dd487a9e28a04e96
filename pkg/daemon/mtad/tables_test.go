package mtad

import (
	"bufio"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// serveDomains is a socketmap server that has the given domains.
func serveDomains(t *testing.T, path string, domains ...string) {
	t.Helper()
	serveUnix(t, path, func(_ context.Context, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			q, err := socketmap.Read(r, socketmap.MaxRequest)
			if err != nil {
				return
			}
			reply := "NOTFOUND "
			for _, d := range domains {
				if q == "domains "+d {
					reply = "OK mailbox"
				}
			}
			_, _ = c.Write(socketmap.Append(nil, reply))
		}
	})
}

// A domain that only a table has is ours; mail for others is relayed for
// nobody; a table that is away puts mail off.
func TestDomainOfTableIsOurs(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "domains")
	serveDomains(t, path, "ours.example")
	w.cfg.Domains.Mailbox, w.cfg.Domains.Tables = nil, []string{"socketmap:unix:" + path + ":domains"}
	w.start()
	if got := rcpt(t, w, "joe@ours.example"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := rcpt(t, w, "joe@elsewhere.example"); !strings.HasPrefix(got, "554 5.7.1") {
		t.Error(got)
	}
}

func TestDomainTableAway(t *testing.T) {
	w := newWorld(t)
	w.cfg.Domains.Tables = []string{"socketmap:unix:" + filepath.Join(w.dir, "none") + ":domains"}
	w.start()
	if got := rcpt(t, w, "joe@ours.example"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := rcpt(t, w, "joe@perhaps.example"); !strings.HasPrefix(got, "451 ") {
		t.Error(got)
	}
}

// rcpt returns the reply to a recipient.
func rcpt(t *testing.T, w *world, to string) string {
	t.Helper()
	c, err := net.Dial("tcp", w.listen["smtpd"].String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	var last string
	for _, line := range []string{"", "HELO client.example\r\n", "MAIL FROM:<s@client.example>\r\n", "RCPT TO:<" + to + ">\r\n"} {
		if _, err := c.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if last, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

// While authd is away for a moment, mail goes on for whom it named just before.
func TestRecentRecipientOutlivesOutage(t *testing.T) {
	w := newWorld(t)
	w.start()
	if got := rcpt(t, w, "joe@ours.example"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	w.exists.down()
	if got := rcpt(t, w, "joe@ours.example"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
	if got := rcpt(t, w, "ann@ours.example"); !strings.HasPrefix(got, "451 ") {
		t.Error(got)
	}
}

// What `mtad table check` looks at is what the configuration opens.
func TestTableNames(t *testing.T) {
	c := Default()
	c.Domains.Tables = []string{"inline:{a=b}", "unionmap:{static:x,proxy:mysql:/etc/x.cf}"}
	c.Rewrite.VirtualAlias = []string{"pgsql:/etc/y.cf", "inline:{a=b}"}
	names, err := c.tableNames()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(names, " "), "inline:{a=b} mysql:/etc/x.cf pgsql:/etc/y.cf static:x unionmap:{static:x,proxy:mysql:/etc/x.cf}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// virtual_mailbox_maps say who exists, beside authd; where both are silent the
// address is unknown, and where one is away it is not.
func TestMailboxesOfTables(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.dir, "mailboxes")
	maps := serveUnix(t, path, func(_ context.Context, c net.Conn) {
		r := bufio.NewReader(c)
		for {
			q, err := socketmap.Read(r, socketmap.MaxRequest)
			if err != nil {
				return
			}
			reply := "NOTFOUND "
			if q == "users listed@ours.example" {
				reply = "OK ours.example/listed/"
			}
			_, _ = c.Write(socketmap.Append(nil, reply))
		}
	})
	w.cfg.VirtualMailboxMaps = []string{"socketmap:unix:" + path + ":users"}
	w.cfg.LookupCache = 0
	w.start()
	for to, want := range map[string]string{"listed": "250 ", "listed+detail": "250 ", "joe": "250 ", "nobody": "550 5.1.1 ", "broken": "451 "} {
		if got := rcpt(t, w, to+"@ours.example"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", to, got)
		}
	}
	maps.down()
	if got := rcpt(t, w, "nobody@ours.example"); !strings.HasPrefix(got, "451 ") {
		t.Errorf("without the table: %s", got)
	}
}
