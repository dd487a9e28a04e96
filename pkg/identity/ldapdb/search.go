package ldapdb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// search is one kind of search, ready to be made for a request.
type search struct {
	server     *server
	base       dn
	filter     filter
	attrs      []string
	scope      int
	deref      int
	ignoreRefs bool
}

func newSearch(s *server, c Config, filterText string, attrs []string) (search, error) {
	base, err := parseDN(c.Base, false)
	if err != nil {
		return search{}, err
	}
	f, err := parseFilter(filterText)
	if err != nil {
		return search{}, err
	}
	if err := known(append(base.text.Names(), f.text.Names()...)); err != nil {
		return search{}, err
	}
	if len(attrs) == 0 {
		attrs = []string{"1.1"} // none, RFC 4511 section 4.5.1.8
	}
	return search{server: s, base: base, filter: f, attrs: attrs, scope: c.scope(), deref: c.deref(), ignoreRefs: c.IgnoreReferences}, nil
}

// variables are what the answer depends on, those of its fields included.
func (q search) variables(fields []string) []string {
	return distinct(slices.Concat(q.base.text.Names(), q.filter.text.Names(), fields, []string{"user"}))
}

// request fills in v's values.
func (q search) request(v expand.Values) (*ldap.SearchRequest, error) {
	base, err := q.base.expand(v)
	if err != nil {
		return nil, err
	}
	text, err := q.filter.expand(v)
	if err != nil {
		return nil, err
	}
	return &ldap.SearchRequest{
		BaseDN: base, Scope: q.scope, DerefAliases: q.deref, Filter: text, Attributes: q.attrs,
		TimeLimit: int((q.server.cfg.SearchTimeout.Std() + time.Second - 1) / time.Second),
	}, nil
}

// possible excludes names that no directory can hold: its strings are UTF-8
// (RFC 4511 section 4.1.2), and servers take others for faults. U+FFFD is what
// lowering a name leaves of such bytes.
func possible(r *request.Request) error {
	if strings.ContainsRune(r.User, utf8.RuneError) {
		return fail.New(fail.NotFound, "no user %q, which is not UTF-8", r.User)
	}
	return nil
}

// user finds r's only entry. No entry is fail.NotFound; two are an outage, for
// nobody knows whom was meant.
func (q search) user(ctx context.Context, r *request.Request) (*ldap.Entry, error) {
	if err := possible(r); err != nil {
		return nil, err
	}
	entries, err := q.first(ctx, r, 2)
	switch {
	case err != nil:
		return nil, err
	case len(entries) > 1:
		return nil, q.server.outage(fail.New(fail.Unavailable, "there is more than one entry: %.200q and %.200q", entries[0].DN, entries[1].DN))
	}
	return entries[0], nil
}

// first finds one entry at least, and limit at most.
func (q search) first(ctx context.Context, v expand.Values, limit int) ([]*ldap.Entry, error) {
	asked, err := q.request(v)
	if err != nil {
		return nil, err
	}
	asked.SizeLimit = limit
	var result *ldap.SearchResult
	err = q.server.run(ctx, q.server.searching, q.server.cfg.SearchTimeout.Std(), func(l *ldap.Conn) error {
		var err error
		result, err = l.Search(asked)
		return err
	})
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && len(result.Entries) >= limit:
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject) && !q.base.fixed():
		return nil, fail.New(fail.NotFound, "no entry %.200q", asked.BaseDN)
	case err != nil:
		return nil, q.failure(asked, err)
	}
	switch {
	case len(result.Entries) > 0:
		return result.Entries, nil
	case len(result.Referrals) > 0 && !q.ignoreRefs:
		return nil, q.server.outage(fail.New(fail.Unavailable,
			"the search met a reference to %.200q, which is not followed (if no users are there, set ignore_references)", result.Referrals[0]))
	}
	return nil, fail.New(fail.NotFound, "no entry matches %.200s", asked.Filter)
}

// failure says which search failed.
func (q search) failure(r *ldap.SearchRequest, err error) error {
	var e *ldap.Error
	if !errors.As(err, &e) || !answered(err) {
		return err
	}
	hint := ""
	switch e.ResultCode {
	case ldap.LDAPResultNoSuchObject:
		hint = " (base does not exist, or bind_dn may not see it)"
	case ldap.LDAPResultReferral:
		hint = " (the base is on another server; references are not followed)"
	case ldap.LDAPResultSizeLimitExceeded:
		hint = " (raise the server's size limit for bind_dn)"
	}
	return q.server.outage(fail.Wrap(fail.Unavailable, err, "search %.200s below %.200q%s", r.Filter, r.BaseDN, hint))
}
