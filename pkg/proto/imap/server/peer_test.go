package server

import (
	"fmt"
	"io"
	"net"
	"sort"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/google/go-cmp/cmp"
)

// TestForeignClient drives the engine with go-imap's client, and go-imap's
// own server with the same commands: what a client understands of the answers
// must be the same.
func TestForeignClient(t *testing.T) {
	w := newWorld(t, Config{})
	w.account = newFakeAccount()
	w.start = Start{Account: w.account, Delim: '/'} // PREAUTH
	ours := imapclient.New(w.dial(), nil)
	defer ours.Close()
	theirs := imapclient.New(memServer(t), nil)
	defer theirs.Close()
	if err := theirs.Login("user", "pass").Wait(); err != nil {
		t.Fatal(err)
	}
	a, b := exercise(t, ours), exercise(t, theirs)
	if d := cmp.Diff(b, a); d != "" {
		t.Errorf("differs (- go-imap's server, + ours):\n%s", d)
	}
}

func memServer(t *testing.T) net.Conn {
	mem := imapmemserver.New()
	user := imapmemserver.NewUser("user", "pass")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapMove: {}, imap.CapNamespace: {}, imap.CapESearch: {}},
		InsecureAuth: true,
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = srv.Serve(l)
		close(done)
	}()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

const peerMessage = "From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>, carol@example.org\r\n" +
	"Subject: Plans\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\nMessage-ID: <m1@example.org>\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"x\"\r\n\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" +
	"plain\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+aGk8L2I+\r\n--x--\r\n"

// exercise plays a client's day and writes down what it saw.
func exercise(t *testing.T, c *imapclient.Client) []string {
	t.Helper()
	var log []string
	note := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }
	check := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("create", c.Create("Work", nil).Wait())
	check("create", c.Create("Work/Done", nil).Wait())
	check("subscribe", c.Subscribe("Work").Wait())
	list, err := c.List("", "*", nil).Collect()
	check("list", err)
	var names []string
	for _, l := range list {
		names = append(names, l.Mailbox)
	}
	sort.Strings(names)
	note("list %v", names)
	for i := range 5 {
		text := strings.Replace(peerMessage, "Plans", fmt.Sprintf("Plans %d", i), 1)
		cmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{
			Flags: []imap.Flag{imap.FlagSeen}, Time: time.Date(2020, 1, 1+i, 10, 0, 0, 0, time.UTC),
		})
		_, err := io.WriteString(cmd, text)
		check("append", err)
		check("append", cmd.Close())
		data, err := cmd.Wait()
		check("append", err)
		note("appended uid %d", data.UID)
	}
	sel, err := c.Select("INBOX", nil).Wait()
	check("select", err)
	note("selected %d next %d", sel.NumMessages, sel.UIDNext)
	noteFetch(t, c, note)
	noteSearch(t, c, note)
	noteChanges(t, c, note)
	check("logout", c.Logout().Wait())
	return log
}

func noteFetch(t *testing.T, c *imapclient.Client, note func(string, ...any)) {
	msgs, err := c.Fetch(imap.SeqSetNum(1, 3), &imap.FetchOptions{
		UID: true, Flags: true, InternalDate: true, RFC822Size: true, Envelope: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection: []*imap.FetchItemBodySection{
			{Peek: true},
			{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"Subject"}, Peek: true},
			{Part: []int{1}, Peek: true},
			{Part: []int{2}, Specifier: imap.PartSpecifierMIME, Peek: true},
			{Specifier: imap.PartSpecifierText, Partial: &imap.SectionPartial{Offset: 2, Size: 10}, Peek: true},
		},
	}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range msgs {
		note("message %d uid %d flags %v date %v size %d", m.SeqNum, m.UID, plainFlags(m.Flags), m.InternalDate.UTC(), m.RFC822Size)
		note("envelope %+v", *m.Envelope)
		m.BodyStructure.Walk(func(path []int, part imap.BodyStructure) bool {
			note("part %v %s", path, part.MediaType())
			return true
		})
		for _, s := range m.BodySection {
			note("section %v %s: %q", s.Section.Part, s.Section.Specifier, s.Bytes)
		}
	}
}

// plainFlags leaves out \Recent, which go-imap's server does not have.
func plainFlags(flags []imap.Flag) []string {
	out := []string{}
	for _, f := range flags {
		if f != "\\Recent" {
			out = append(out, strings.ToLower(string(f)))
		}
	}
	sort.Strings(out)
	return out
}

func noteSearch(t *testing.T, c *imapclient.Client, note func(string, ...any)) {
	for _, crit := range []*imap.SearchCriteria{
		{},
		{Flag: []imap.Flag{imap.FlagSeen}},
		{NotFlag: []imap.Flag{imap.FlagSeen}},
		{SeqNum: []imap.SeqSet{imap.SeqSetNum(2, 4)}},
		{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "plans 3"}}},
		{Since: time.Date(2020, 1, 3, 0, 0, 0, 0, time.UTC)},
		{Before: time.Date(2020, 1, 3, 0, 0, 0, 0, time.UTC)},
		{Larger: 100, Smaller: 100000},
		{Not: []imap.SearchCriteria{{SeqNum: []imap.SeqSet{imap.SeqSetNum(1)}}}},
		{Or: [][2]imap.SearchCriteria{{{SeqNum: []imap.SeqSet{imap.SeqSetNum(1)}}, {SeqNum: []imap.SeqSet{imap.SeqSetNum(5)}}}}},
		{Body: []string{"plain"}},
		{Text: []string{"Plans 2"}},
	} {
		data, err := c.Search(crit, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		note("search %+v: %v", *crit, data.AllSeqNums())
		data, err = c.UIDSearch(crit, nil).Wait()
		if err != nil {
			t.Fatal(err)
		}
		note("uid search: %v", data.AllUIDs())
	}
}

func noteChanges(t *testing.T, c *imapclient.Client, note func(string, ...any)) {
	check := func(what string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	msgs, err := c.Store(imap.SeqSetNum(1, 2), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted, "$Work"}}, nil).Collect()
	check("store", err)
	for _, m := range msgs {
		note("stored %d %v", m.SeqNum, plainFlags(m.Flags))
	}
	cp, err := c.Copy(imap.SeqSetNum(2, 3), "Work").Wait()
	check("copy", err)
	note("copied %v to %v", cp.SourceUIDs, cp.DestUIDs)
	mv, err := c.Move(imap.SeqSetNum(5), "Work/Done").Wait()
	check("move", err)
	note("moved %v to %v", mv.SourceUIDs, mv.DestUIDs)
	gone, err := c.Expunge().Collect()
	check("expunge", err)
	note("expunged %d", len(gone)) // the order, and so the numbers, are the server's choice
	st, err := c.Status("Work", &imap.StatusOptions{NumMessages: true, NumUnseen: true, UIDNext: true}).Wait()
	check("status", err)
	note("status %d %d %d", *st.NumMessages, *st.NumUnseen, st.UIDNext)
	check("rename", c.Rename("Work/Done", "Old", nil).Wait())
	check("delete", c.Delete("Work").Wait())
	_, err = c.Select("Work", nil).Wait()
	note("select of what is gone fails: %v", err != nil)
	msgs, err = c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true}).Collect()
	note("fetch without a mailbox: %d, %v", len(msgs), err != nil)
}
