package server

import (
	"context"
	"strconv"
	"time"
)

// The search keys of RFC 8514 (SAVEDATE) and RFC 8474 (OBJECTID).
const (
	opSaved op = iota + 64
	opEmailID
	opThreadID
)

// detailKeys are those that have an argument. SAVEDATESUPPORTED is a plain one.
func detailKeys() []string {
	return []string{"SAVEDBEFORE", "SAVEDON", "SAVEDSINCE", "EMAILID", "THREADID"}
}

// detailKey reads the argument of one of them. It is false for another key.
func (p *parser) detailKey(word string) (key, bool) {
	switch word {
	case "SAVEDBEFORE", "SAVEDON", "SAVEDSINCE":
		return key{op: opSaved, cost: 1, rel: relation(word[5:]), date: p.Date()}, true
	case "EMAILID":
		return key{op: opEmailID, cost: 3, needle: p.Atom()}, true
	case "THREADID":
		return key{op: opThreadID, cost: 3, needle: p.Atom()}, true
	}
	return key{}, false
}

// evalDetail decides about one of them.
func (m *matching) evalDetail(k *key) bool {
	d, ok := m.open().(Details)
	if !ok {
		return false
	}
	var id string
	switch k.op {
	case opSaved:
		var at time.Time
		if at, m.err = d.Saved(m.ctx); m.err == nil && at.IsZero() {
			at, m.err = m.open().Date(m.ctx) // RFC 8514 section 4.3
		}
		return m.err == nil && onDay(at, k.rel, k.date)
	case opEmailID:
		id, m.err = d.EmailID(m.ctx)
	case opThreadID:
		id, m.err = threadID(m.ctx, d)
	}
	return m.err == nil && id == k.needle
}

// threadID names the thread of a message by the message that it began with, as
// far as the message itself says: the first of its references, else its own
// Message-ID. So it never changes, and is the same in every mailbox (RFC 8474
// section 5.2).
func threadID(ctx context.Context, d Details) (string, error) {
	k, err := d.Keys(ctx)
	if err != nil {
		return "", err
	}
	root := k.MessageID
	if len(k.References) > 0 {
		root = k.References[0]
	}
	if root != 0 {
		return "T" + strconv.FormatUint(root, 36), nil
	}
	id, err := d.EmailID(ctx)
	if err != nil || id == "" {
		return "", err
	}
	return "T" + id[1:], nil
}
