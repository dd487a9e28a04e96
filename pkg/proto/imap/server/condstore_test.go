package server

import (
	"context"
	"testing"

	imap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// A client that knows CONDSTORE keeps a copy with it, as interimap does: asks
// for what has changed, and changes what nobody else has.
func TestForeignClientWithCondstore(t *testing.T) {
	w := newWorld(t, Config{})
	inbox := w.account.boxes["INBOX"]
	for range 3 {
		inbox.deliver(simple, w.account.now, Row{})
	}
	w.start.Tag = "" // PREAUTH
	c := imapclient.New(w.dial(), nil)
	defer c.Close()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	if caps := c.Caps(); !caps.Has(imap.CapCondStore) || !caps.Has(imap.CapQResync) {
		t.Fatalf("announced are %v", caps)
	}
	sel, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	must("SELECT", err)
	since := sel.HighestModSeq
	if since == 0 {
		t.Fatal("no HIGHESTMODSEQ")
	}
	other := &fakeHandle{inbox}
	other.change(context.Background(), imap.UIDSetNum(2), Change{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged}})
	must("NOOP", c.Noop().Wait())

	all := imap.UIDSet{{Start: 1, Stop: 0}}
	changed, err := c.Fetch(all, &imap.FetchOptions{Flags: true, ModSeq: true, ChangedSince: since}).Collect()
	must("FETCH", err)
	if len(changed) != 1 || changed[0].UID != 2 || changed[0].ModSeq <= since {
		t.Fatalf("changed since %d: %+v", since, changed)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{ModSeq: &imap.SearchCriteriaModSeq{ModSeq: since + 1}}, nil).Wait()
	must("SEARCH", err)
	if found.ModSeq != changed[0].ModSeq || len(found.AllUIDs()) != 1 {
		t.Errorf("found %v, MODSEQ %d", found.AllUIDs(), found.ModSeq)
	}
	st, err := c.Status("INBOX", &imap.StatusOptions{HighestModSeq: true}).Wait()
	must("STATUS", err)
	if st.HighestModSeq != changed[0].ModSeq {
		t.Errorf("HIGHESTMODSEQ %d, want %d", st.HighestModSeq, changed[0].ModSeq)
	}

	// FLAGS is about all flags, so message 2 is refused.
	stored, err := c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsSet, Flags: []imap.Flag{imap.FlagSeen}, Silent: true},
		&imap.StoreOptions{UnchangedSince: since}).Collect()
	must("STORE", err)
	if len(stored) != 3 {
		t.Errorf("STORE tells of %d messages", len(stored))
	}
	for _, r := range inbox.cur.rows {
		if want := map[bool]System{true: Flagged, false: Seen}[r.UID == 2]; r.System != want {
			t.Errorf("UID %d has flags %v, want %v", r.UID, r.System, want)
		}
	}
}
