package server

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/collate"
)

// knowingAccount is an account whose mailboxes answer search keys for some of
// their messages at once.
type knowingAccount struct {
	*fakeAccount
	share int // in a hundred
}

func (a knowingAccount) Open(ctx context.Context, name string) (Mailbox, error) {
	m, err := a.fakeAccount.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return knowingHandle{m.(*fakeHandle), a.share}, nil
}

type knowingHandle struct {
	*fakeHandle
	share int
}

func (h knowingHandle) UIDs(s Snapshot) []uint32 {
	out := make([]uint32, s.Len())
	for i := range out {
		out[i] = s.At(i).UID
	}
	return out
}

func (h knowingHandle) Select(ctx context.Context, s Snapshot, q Query, hits, open Bits) {
	r := rand.New(rand.NewPCG(uint64(q.Kind), uint64(len(q.Text))))
	for i := range s.Len() {
		if r.IntN(100) >= h.share {
			continue
		}
		open[i/64] &^= 1 << (i % 64)
		if h.meets(ctx, s.At(i), q) {
			hits.set(i)
		}
	}
}

func (h knowingHandle) meets(ctx context.Context, row Row, q Query) bool {
	c := h.fakeHandle.Open(row.UID)
	defer c.Close()
	switch q.Kind {
	case QueryFlags:
		return row.System&q.Flags != 0
	case QueryReceived:
		return row.Date.Unix() >= q.From && row.Date.Unix() < q.To
	case QuerySize:
		return row.Size >= q.From && row.Size < q.To
	case QuerySent:
		for _, v := range fieldsOf(ctx, c, "Date") {
			d, ok := message.ParseDate(v)
			return ok && onDay(d, q.Rel, q.Day)
		}
		return false
	}
	for _, v := range fieldsOf(ctx, c, q.Field) {
		if strings.Contains(collate.String(v), q.Text) {
			return true
		}
	}
	return false
}

func fieldsOf(ctx context.Context, c Content, name string) []string {
	values, _ := c.Fields(ctx, name)
	return values
}

// What a mailbox answers for all messages at once, and what helpers do beside
// the session, changes nothing of what a search finds.
func TestSearchInTwoPasses(t *testing.T) {
	a := newFakeAccount()
	box, _ := a.box("INBOX")
	for i := range 300 {
		flags := Row{}
		if i%3 == 0 {
			flags.System |= Seen
		}
		if i%7 == 0 {
			flags.System |= Flagged
		}
		text := fmt.Sprintf("From: p%d@x\r\nSubject: Word%d\r\nDate: %d Jan 2024 10:00:00 +0000\r\n\r\nbody %d%s\r\n", i%5, i%11, 1+i%28, i%13, strings.Repeat("x", i))
		box.deliver(text, time.Date(2024, 1, 1+i%28, 12, 0, 0, 0, time.Local), flags)
	}
	programs := []string{
		"ALL", "SEEN", "UNSEEN FLAGGED", "NOT (SEEN FLAGGED)", "OR SEEN FLAGGED", "SUBJECT word3", "NOT SUBJECT word3",
		"FROM p1@ SINCE 10-Jan-2024", "OR FROM p1@ NOT SENTSINCE 10-Jan-2024", "LARGER 200 SMALLER 260", "BODY \"body 7\"",
		"OR BODY \"body 7\" SUBJECT word1", "NOT (OR BODY \"body 7\" SUBJECT word1) UNSEEN", "TEXT nothing", "5:90 SUBJECT word1",
		"UID 5:40,100:* SEEN", "UID 7", "NOT UID 20:290", "SUBJECT \"\"", "KEYWORD nothing", "ON 3-Jan-2024", "SENTBEFORE 4-Jan-2024 BODY 1",
		"RECENT", "NEW", "OLDER 86400", "YOUNGER 92000000", "OR OR SEEN FLAGGED SUBJECT word1", "OLD SEEN", "OR (3:50 UNSEEN) (SUBJECT word2 BODY body)", "RETURN (MIN) BODY \"body 11\"", "RETURN (MIN MAX COUNT) UNSEEN FROM p2",
	}
	for _, p := range programs {
		for _, verb := range []string{"SEARCH ", "UID SEARCH "} {
			input := "s SELECT INBOX\r\na " + verb + p + "\r\n"
			want := ""
			for i, account := range []Account{a, knowingAccount{a, 0}, knowingAccount{a, 60}, knowingAccount{a, 100}} {
				box.claimed = 0
				srv := New(Config{})
				srv.askAfter = time.Hour // a search on a busy machine may take longer than that
				got, _ := talk(t, srv, Start{Tag: "a0", Account: account}, input, nil)
				if i == 0 {
					want = got
					if strings.Contains(got, "BAD") || !strings.Contains(got, "SEARCH") {
						t.Fatal(got)
					}
				}
				if got != want {
					t.Errorf("%s%s, account %d: %s\nwant %s", verb, p, i, got, want)
				}
			}
		}
	}
}
