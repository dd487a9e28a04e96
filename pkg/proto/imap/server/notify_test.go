package server

import (
	"strconv"
	"testing"
)

func watcher(groups ...interest) (n *notify, wakes *int) {
	n, wakes = &notify{groups: groups, delim: '.'}, new(int)
	n.wake = func() { *wakes++ }
	return n, wakes
}

// Whatever happens, a client that does not read costs one entry a mailbox, and
// one wake.
func TestNotifyIsBounded(t *testing.T) {
	all := interest{filter: everywhere, wants: aboutMessages | wantsNames}
	t.Run("one mailbox", func(t *testing.T) {
		n, wakes := watcher(all)
		for range 100_000 {
			n.tell(Event{What: MessagesNew, Mailbox: "a"})
			n.tell(Event{What: FlagsChanged, Mailbox: "a"})
		}
		if td := n.take(); *wakes != 1 || len(td.changed) != 1 || td.changed["a"] != MessagesNew|FlagsChanged || td.overflow {
			t.Error(*wakes, td)
		}
	})
	for _, c := range []struct {
		what  Changes
		limit int
	}{{MessagesNew, maxChanged}, {MailboxCreated, maxRenamed}} {
		n, wakes := watcher(all)
		for i := range 5 * c.limit {
			n.tell(Event{What: c.what, Mailbox: strconv.Itoa(i)})
			if i == c.limit-1 && n.overflow {
				t.Errorf("%d are too many", c.limit)
			}
		}
		if !n.overflow || len(n.changed) > c.limit+1 || len(n.renamed) > c.limit || *wakes != 1 {
			t.Error(n.overflow, len(n.changed), len(n.renamed), *wakes)
		}
	}
}

func TestNotifyFilters(t *testing.T) {
	n, _ := watcher(
		interest{exactly, []string{"A", "Lists.*"}, wantsNew | wantsGone},
		interest{subtree, []string{"Lists", "INBOX"}, wantsFlags},
		interest{subscribed, nil, wantsNames},
		interest{everywhere, nil, wantsSubscriptions},
	)
	for _, c := range []struct {
		name string
		subd bool
		want wanted
	}{
		{"A", false, wantsNew | wantsGone | wantsSubscriptions},
		{"A.b", false, wantsSubscriptions},
		{"Lists", false, wantsFlags | wantsSubscriptions},
		{"Lists.x.y", true, wantsFlags | wantsSubscriptions | wantsNames},
		{"Listsx", false, wantsSubscriptions},
		{"Lists.*", false, wantsNew | wantsGone | wantsFlags | wantsSubscriptions},
		{"INBOX.x", false, wantsFlags | wantsSubscriptions},
	} {
		if got := n.wanted(c.name, c.subd); got != c.want {
			t.Errorf("%s: %b, want %b", c.name, got, c.want)
		}
	}
}

// What is to be told of a mailbox follows it to another name.
func TestNotifyFollowsRenames(t *testing.T) {
	n, _ := watcher(interest{filter: everywhere, wants: aboutMessages})
	for _, name := range []string{"a", "a.b", "ab"} {
		n.tell(Event{What: MessagesNew, Mailbox: name})
	}
	n.tell(Event{What: MailboxRenamed, Mailbox: "c", Old: "a", Own: true})
	if td := n.take(); len(td.changed) != 3 || td.changed["c"] == 0 || td.changed["c.b"] == 0 || td.changed["ab"] == 0 {
		t.Error(td.changed)
	}
}
