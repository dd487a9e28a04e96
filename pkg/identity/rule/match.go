package rule

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// NoMechanism stands in Match.Mechanisms for lookups, which have none.
const NoMechanism = "none"

// Match says which requests something concerns. What is empty concerns all.
type Match struct {
	Users      []string // masks; one with ! before it excludes
	Mechanisms []string
	Services   []string
	Networks   []netip.Prefix // of the peer; one without an address is in none
}

// Fits reports whether m concerns r.
func (m Match) Fits(r *request.Request) bool {
	return fitsMechanism(m.Mechanisms, r.Mech) && fitsUser(m.Users, r.User) &&
		(len(m.Services) == 0 || containsFold(m.Services, r.Service)) && fitsNetwork(m.Networks, r.Remote.Addr())
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}

func fitsMechanism(list []string, mech string) bool {
	if mech == "" {
		mech = NoMechanism
	}
	return len(list) == 0 || containsFold(list, mech)
}

// fitsUser is Dovecot's username_filter: nothing excludes the name, and if
// anything includes names, something includes this one.
func fitsUser(filter []string, user string) bool {
	includes, included := false, false
	for _, mask := range filter {
		mask, exclude := strings.CutPrefix(mask, "!")
		hit := account.Match(mask, user)
		if exclude && hit {
			return false
		}
		includes = includes || !exclude
		included = included || hit && !exclude
	}
	return included || !includes
}

func fitsNetwork(list []netip.Prefix, ip netip.Addr) bool {
	return len(list) == 0 || netx.Among(list, ip)
}

// SplitFilter cuts a username_filter at spaces and commas, names in lower case
// as all names are compared.
func SplitFilter(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}
