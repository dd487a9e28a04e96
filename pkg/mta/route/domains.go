package route

import (
	"context"
	"iter"
	"sort"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Class says whose an address is.
type Class uint8

// The address classes. Where a domain's class is asked for, the order is
// Postfix's: Local, Alias, Mailbox, Relay; what is none of them is Default.
const (
	Default Class = iota // somebody else's: the Internet
	Mailbox              // a mailbox of this installation (Postfix: virtual mailbox)
	Relay                // ours to receive, another host's to deliver
	Local                // of this host: names with aliases (Postfix: mydestination)
	Alias                // nothing but virtual aliases
	numClasses
)

var classNames = [numClasses]string{"default", "mailbox", "relay", "local", "alias"}

// String returns the name used in logs and metrics.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "unknown"
}

// Ours reports whether mail for the class is accepted from strangers.
func (c Class) Ours() bool { return c != Default }

// Domains answers for domains that are not in configuration. The domain is in
// addr's canonical form. An error means "could not look" and must defer.
type Domains interface {
	HasMailboxes(ctx context.Context, domain string) (bool, error)
}

// domainSet matches exact names and, for entries with a leading dot, every
// name below: "example.org" does not match "a.example.org", ".example.org" does.
type domainSet map[string]bool

func newDomainSet(key string, names []string) (domainSet, error) {
	set := make(domainSet, len(names))
	for _, n := range names {
		dot := ""
		if strings.HasPrefix(n, ".") {
			dot, n = ".", n[1:]
		}
		d, err := addr.Domain(n)
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "%s", key)
		}
		set[dot+d] = true
	}
	return set, nil
}

func (s domainSet) match(domain string) bool {
	if len(s) == 0 {
		return false
	}
	if s[domain] {
		return true
	}
	for parent := range parents(domain) {
		if s[parent] {
			return true
		}
	}
	return false
}

// overlap returns an entry of both sets, or "".
func (s domainSet) overlap(t domainSet) string {
	var both []string
	for d := range s {
		if t[d] {
			both = append(both, d)
		}
	}
	if both == nil {
		return ""
	}
	sort.Strings(both)
	return both[0]
}

// parents of "a.b.c": ".b.c", ".c". None for an address literal.
func parents(domain string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if strings.HasPrefix(domain, "[") {
			return
		}
		for i := 0; i < len(domain); i++ {
			if domain[i] == '.' && !yield(domain[i:]) {
				return
			}
		}
	}
}
