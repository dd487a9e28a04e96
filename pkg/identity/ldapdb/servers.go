package ldapdb

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Options are what servers need beside their configuration.
type Options struct {
	// Notify is told when a URI goes down (why is not nil) and when it is back;
	// it may be nil and is called concurrently.
	Notify func(database, uri string, why error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Servers are the directories of a configuration. Drivers that ask the same
// one share its connections. Open, Passdb and Userdb are for one goroutine,
// the drivers for any number.
type Servers struct {
	options Options
	byName  map[string]*server
	files   map[string]fromFile // by path of the Dovecot file
	notes   []string
}

// fromFile is what a Dovecot file led to.
type fromFile struct {
	server *server
	config Config
}

// Open makes the directories ready by their names. None is connected to yet.
func Open(configs map[string]ServerConfig, o Options) (*Servers, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Servers{options: o, byName: map[string]*server{}, files: map[string]fromFile{}}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		one, err := newServer(name, configs[name], o)
		if err != nil {
			return nil, err
		}
		s.byName[name] = one
	}
	return s, nil
}

// Close gives up all connections. Requests under way still end well.
func (s *Servers) Close() {
	for _, one := range s.all() {
		one.close()
	}
}

// all are the servers by name, or by the path of their file.
func (s *Servers) all() map[string]*server {
	all := maps.Clone(s.byName)
	for path, f := range s.files {
		all[path] = f.server
	}
	return all
}

// Check asks every server something harmless. It returns all that is wrong.
func (s *Servers) Check(ctx context.Context) error {
	all := s.all()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		errs = append(errs, all[name].check(ctx))
	}
	return errors.Join(errs...)
}

// Notes are settings of Dovecot's files that mean something else here, or
// nothing.
func (s *Servers) Notes() []string { return s.notes }

// Status is how a directory is.
type Status struct {
	InUse int // connections
	URIs  []URIStatus
}

// URIStatus is how one of its URIs is.
type URIStatus struct {
	URI  string
	Up   bool
	Why  string        // not up: what happened
	Next time.Duration // not up: asked again after this
}

// Status tells how the directories are, by name.
func (s *Servers) Status() map[string]Status {
	all := map[string]Status{}
	for name, one := range s.all() {
		st := Status{InUse: len(one.searching.slots) + len(one.binding.slots) + len(one.listing)}
		for _, e := range one.endpoints {
			st.URIs = append(st.URIs, e.status())
		}
		all[name] = st
	}
	return all
}

// Passdb makes the password database that c describes: a passdb.Verifier with
// auth_bind, otherwise a passdb.Lookuper. Errors: fail.Invalid.
func (s *Servers) Passdb(c Config) (passdb.Driver, error) {
	one, c, err := s.resolve(c)
	if err != nil {
		return nil, err
	}
	return newPassdb(one, c)
}

// Userdb makes the user database that c describes. Errors: fail.Invalid.
func (s *Servers) Userdb(c Config) (*Userdb, error) {
	one, c, err := s.resolve(c)
	if err != nil {
		return nil, err
	}
	return newUserdb(one, c)
}

// resolve finds the server for c, and what to ask it.
func (s *Servers) resolve(c Config) (*server, Config, error) {
	if c.DovecotFile != "" {
		f, err := s.file(c.DovecotFile)
		return f.server, f.config, err
	}
	one := s.byName[c.Database]
	if one == nil {
		return nil, c, fail.New(fail.Invalid, "there is no LDAP database %q (known: %s)", c.Database, strings.Join(slices.Sorted(maps.Keys(s.byName)), ", "))
	}
	return one, c, nil
}

// file reads a Dovecot file once for all drivers.
func (s *Servers) file(path string) (fromFile, error) {
	if f, ok := s.files[path]; ok {
		return f, nil
	}
	r, err := os.Open(path)
	if err != nil {
		return fromFile{}, fail.Wrap(fail.Unavailable, err, "dovecot_file")
	}
	defer r.Close()
	d, err := ReadDovecot(path, r)
	if err != nil {
		return fromFile{}, err
	}
	one, err := newServer(path, d.Server, s.options)
	if err != nil {
		return fromFile{}, err
	}
	for _, n := range d.Notes {
		s.notes = append(s.notes, path+": "+n)
	}
	f := fromFile{one, d.Config}
	s.files[path] = f
	return f, nil
}
