package userdb

import (
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Template is a path with a request's variables, such as a home.
type Template struct{ t expand.Template }

// ParseTemplate reads a template; an unknown variable is an error.
func ParseTemplate(text string) (Template, error) {
	t, err := request.Template(text)
	return Template{t}, err
}

// Empty reports whether the template is the empty text.
func (t Template) Empty() bool { return t.t.Empty() }

// Expand fills in user's values.
func (t Template) Expand(user string) (string, error) {
	return t.t.Expand(&request.Request{User: user, Claimed: user, Original: user}, nil)
}

// ExpandPath is PathFor for a lookup of user that says nothing else.
func (t Template) ExpandPath(user string) (string, error) {
	return t.PathFor(&request.Request{User: user, Claimed: user, Original: user})
}

// PathFor is the path for r's user: absolute, and never one that the name
// leads elsewhere.
func (t Template) PathFor(r *request.Request) (string, error) {
	if err := account.CheckName(r.User); err != nil {
		return "", err
	}
	if _, domain := account.Split(r.User); domain == "" && t.t.Uses("domain") {
		return "", fail.New(fail.Unavailable, "user %s has no domain, but the home template needs one (set default_domain)", r.User)
	}
	home, err := t.t.Expand(r, pathPart)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "home of user %s", r.User)
	}
	if err := account.CheckHome(home); err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "home of user %s", r.User)
	}
	return home, nil
}

// pathPart keeps a value from being more than a part of a path.
func pathPart(v string) string {
	return strings.NewReplacer("/", "_", "\x00", "_").Replace(v)
}
