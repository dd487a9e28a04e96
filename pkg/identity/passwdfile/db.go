package passwdfile

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is the section `passwd_file` of a database entry.
type Config struct {
	Path     string `yaml:"path" path:"read" example:"/etc/postcote/users" doc:"The file, read again whenever it changes. With variables there is a file for each of their values, such as /etc/postcote/%{domain}/users; a file that is missing then has no users."`
	Username string `yaml:"username_format" doc:"Name under which a user stands in the file: %{user}, or %{username} for a file without domains."`
	Scheme   string `yaml:"scheme" example:"SHA512-CRYPT" doc:"Scheme of passwords that do not begin with {SCHEME}; empty means crypt(3), whose kinds tell themselves apart."`
}

// Preset is the section when it says nothing.
func (c *Config) Preset() { *c = Config{Username: "%{user}"} }

// Validate reports what cannot be read.
func (c Config) Validate(p *conf.Reporter) {
	if !strings.HasPrefix(c.Path, "/") {
		p.At("path").Errorf("%q is not an absolute path", c.Path)
	}
	for _, t := range []struct{ key, text string }{{"path", c.Path}, {"username_format", c.Username}} {
		if _, err := request.Template(t.text); err != nil {
			p.At("%s", t.key).Errorf("%v", err)
		}
	}
}

// maxFiles caps how many files of a path with variables are kept in memory.
const maxFiles = 1000

// DB is a passwd-file as a database is configured: one file, or one for each
// value of the variables in its path. It is safe for concurrent use.
type DB struct {
	path   expand.Template
	name   expand.Template
	fixed  *File // unless the path has variables
	onLoad func(path string, s *Snapshot)

	mu    sync.Mutex
	files map[string]*File
}

// NewDB makes a database; nothing is read yet. onLoad, which may be nil, is
// called with each new snapshot. Errors are fail.Invalid.
func NewDB(c Config, onLoad func(path string, s *Snapshot)) (*DB, error) {
	path, err := request.Template(c.Path)
	if err != nil {
		return nil, err
	}
	if c.Username == "" {
		c.Username = "%{user}"
	}
	name, err := request.Template(c.Username)
	if err != nil {
		return nil, err
	}
	d := &DB{path: path, name: name, onLoad: onLoad, files: map[string]*File{}}
	if len(path.Names()) == 0 {
		plain, err := path.Expand(&request.Request{}, nil) // %% is a percent sign
		if err != nil {
			return nil, err
		}
		d.fixed = d.open(plain)
	}
	return d, nil
}

func (d *DB) open(path string) *File {
	return Open(path, func(s *Snapshot) {
		if d.onLoad != nil {
			d.onLoad(path, s)
		}
	})
}

// File is the one file; nil when the path has variables.
func (d *DB) File() *File { return d.fixed }

// Find returns the entry of r's user. Errors as File.Lookup.
func (d *DB) Find(r *request.Request) (*Entry, error) {
	f, err := d.fileOf(r)
	if err != nil {
		return nil, err
	}
	name, err := d.name.Expand(r, nil)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "username_format of the users file")
	}
	e, err := f.Lookup(name)
	if err != nil && d.fixed == nil && errors.Is(err, fs.ErrNotExist) {
		return nil, fail.New(fail.NotFound, "no user %s: %s is missing", r.User, f.Path())
	}
	return e, err
}

// fileOf is the file that r's variables lead to. No value leads out of the
// folder that the template means.
func (d *DB) fileOf(r *request.Request) (*File, error) {
	if d.fixed != nil {
		return d.fixed, nil
	}
	bad := false
	path, err := d.path.Expand(r, func(v string) string {
		bad = bad || v == "" || v[0] == '.' || strings.ContainsAny(v, "/\x00")
		return v
	})
	if bad {
		return nil, fail.New(fail.NotFound, "no user %s", r.User)
	}
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "path of the users file")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[path]
	if f == nil {
		if len(d.files) >= maxFiles {
			clear(d.files)
		}
		f = d.open(path)
		d.files[path] = f
	}
	return f, nil
}

// HasDomain reports whether some user is of domain. With variables in the path
// the file of that domain must exist.
func (d *DB) HasDomain(domain string) (bool, error) {
	f, err := d.fileOf(&request.Request{User: "postmaster@" + domain})
	if fail.Is(err, fail.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s, err := f.Get()
	switch {
	case d.fixed == nil && errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	return d.fixed == nil || s.HasDomain(domain), nil
}

// SetPassword replaces the stored password of r's user.
func (d *DB) SetPassword(ctx context.Context, r *request.Request, stored string) error {
	f, err := d.fileOf(r)
	if err != nil {
		return err
	}
	name, err := d.name.Expand(r, nil)
	if err != nil {
		return err
	}
	return Edit(ctx, f.Path(), func(e *Editor) error { return e.SetPassword(name, stored) })
}

// Expand fills variables into the values of fields: Dovecot takes those of a
// passwd-file for templates.
func Expand(fields []account.Field, r *request.Request) ([]account.Field, error) {
	var out []account.Field
	for i, f := range fields {
		if !strings.Contains(f.Value, "%") {
			if out != nil {
				out = append(out, f)
			}
			continue
		}
		if out == nil {
			out = append(make([]account.Field, 0, len(fields)), fields[:i]...)
		}
		t, err := request.Template(f.Value)
		if err == nil {
			f.Value, err = t.Expand(r, nil)
		}
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "user %s: field %s", r.User, f.Key)
		}
		out = append(out, f)
	}
	if out == nil {
		return fields, nil
	}
	return out, nil
}
