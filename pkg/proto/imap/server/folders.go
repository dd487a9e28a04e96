package server

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// entry is a folder with what LIST wants to know of those below it.
type entry struct {
	Folder
	hasChildren bool   // an existing mailbox is below it
	up          *entry // the next level above
	below       int    // selected names below it, for RECURSIVEMATCH
	unmatched   int    // those of them that no pattern matches
	chosen      bool   // meets the selection criteria
	matched     bool   // matches a pattern
}

func (c *call) folders(ctx context.Context) (list []Folder, err error) {
	c.away(func() { list, err = c.start.Account.Folders(ctx) })
	return list, err
}

// tree orders folders as LIST shows them, INBOX first, with every missing
// level filled in.
func tree(folders []Folder, delim byte) []*entry {
	byName := make(map[string]*entry, len(folders))
	all := make([]*entry, 0, len(folders))
	for _, f := range folders {
		e := &entry{Folder: f}
		byName[f.Name] = e
		all = append(all, e)
	}
	for i := 0; i < len(all); i++ { // grows: parents have parents
		e := all[i]
		cut := strings.LastIndexByte(e.Name, delim)
		if cut <= 0 {
			continue
		}
		parent := byName[e.Name[:cut]]
		if parent == nil {
			parent = &entry{Folder: Folder{Name: e.Name[:cut], NonExistent: true}}
			byName[parent.Name] = parent
			all = append(all, parent)
		}
		e.up = parent
	}
	for _, e := range all {
		if !e.NonExistent {
			for p := e.up; p != nil && !p.hasChildren; p = p.up {
				p.hasChildren = true
			}
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		if a.Name == "INBOX" || b.Name == "INBOX" {
			return cmp.Compare(btoi(b.Name == "INBOX"), btoi(a.Name == "INBOX"))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return all
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// isParent reports whether the name holds no messages but has mailboxes below
// it: a level of the hierarchy that LIST must show all the same.
func (e *entry) isParent() bool { return (e.NonExistent || e.NoSelect) && e.hasChildren }

// writeAttrs writes the attributes of a folder. extended names what does not
// exist as RFC 5258 does; clients of the old LIST know \Noselect only.
func (s *session) writeAttrs(e *entry, extended, subscribed bool) {
	sep := "("
	add := func(attr string) {
		s.w.Raw(sep)
		s.w.Raw(attr)
		sep = " "
	}
	switch {
	case e.NonExistent && extended:
		add("\\NonExistent")
	case e.NonExistent || e.NoSelect:
		add("\\Noselect")
	}
	if e.NoInferiors {
		add("\\Noinferiors")
	} else if e.hasChildren {
		add("\\HasChildren")
	} else {
		add("\\HasNoChildren")
	}
	if subscribed && e.Subscribed {
		add("\\Subscribed")
	}
	for _, use := range e.SpecialUse {
		add(string(use))
	}
	s.w.Raw(") \"")
	if s.start.Delim == '"' || s.start.Delim == '\\' {
		s.w.Raw("\\")
	}
	s.w.Raw(string(rune(s.start.Delim)))
	s.w.Raw("\" ")
}
