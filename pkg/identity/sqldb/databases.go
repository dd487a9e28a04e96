package sqldb

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// Options are what databases need beside their configuration.
type Options struct {
	// Notify is told when a host goes down (why is not nil) and when it is
	// back; it may be nil and is called concurrently.
	Notify func(database, host string, why error)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Databases are the databases of a configuration. Drivers that ask the same
// one share its connections. It is safe for concurrent use.
type Databases struct {
	options Options
	pools   map[string]*sqlpool.Pool

	mu    sync.Mutex
	files map[string]fromFile // by path of the Dovecot file
}

// fromFile is what a Dovecot file led to.
type fromFile struct {
	pool    *sqlpool.Pool
	queries QueryConfig
}

// Open makes the databases ready by their names. None is connected to yet.
func Open(configs map[string]DatabaseConfig, o Options) (*Databases, error) {
	d := &Databases{options: o, pools: map[string]*sqlpool.Pool{}, files: map[string]fromFile{}}
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		pool, err := d.open(name, configs[name])
		if err != nil {
			d.Close()
			return nil, err
		}
		d.pools[name] = pool
	}
	return d, nil
}

func (d *Databases) open(name string, cfg DatabaseConfig) (*sqlpool.Pool, error) {
	o := sqlpool.Options{Name: name, Now: d.options.Now}
	if d.options.Notify != nil {
		o.Notify = func(host string, why error) { d.options.Notify(name, host, why) }
	}
	return sqlpool.Open(cfg, o)
}

// Close gives up all connections. Requests under way still end well.
func (d *Databases) Close() {
	for _, p := range d.pools {
		p.Close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		f.pool.Close()
	}
}

// Status tells how the databases are, by name.
func (d *Databases) Status() map[string]sqlpool.Status {
	all := map[string]sqlpool.Status{}
	for name, p := range d.pools {
		all[name] = p.Status()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, f := range d.files {
		all[name] = f.pool.Status()
	}
	return all
}

// resolve finds the pool for q, and the queries themselves.
func (d *Databases) resolve(q QueryConfig) (*sqlpool.Pool, QueryConfig, error) {
	if q.DovecotFile != "" {
		f, err := d.file(q.DovecotFile)
		return f.pool, f.queries, err
	}
	pool := d.pools[q.Database]
	if pool == nil {
		return nil, q, fail.New(fail.Invalid, "there is no database %q (known: %s)", q.Database, strings.Join(slices.Sorted(maps.Keys(d.pools)), ", "))
	}
	return pool, q, nil
}

// file reads a Dovecot file once for all drivers.
func (d *Databases) file(path string) (fromFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f, ok := d.files[path]; ok {
		return f, nil
	}
	cfg, queries, err := ReadDovecot(path)
	if err != nil {
		return fromFile{}, err
	}
	pool, err := d.open(path, cfg)
	if err != nil {
		return fromFile{}, err
	}
	f := fromFile{pool, queries}
	d.files[path] = f
	return f, nil
}

// Passdb makes the password database of q. It is a passdb.Lookuper, and a
// passdb.Rehasher if there is an update_password_query.
func (d *Databases) Passdb(q QueryConfig) (passdb.Driver, error) {
	pool, q, err := d.resolve(q)
	if err != nil {
		return nil, err
	}
	return newPasswords(pool, q)
}

// Userdb makes the user database of q. It is a userdb.Lister if there is an
// iterate_query, a userdb.DomainFinder if there is that or a domain_query, and
// userdb.Addresses if there is an alias_query, sender_query or
// relay_domain_query.
func (d *Databases) Userdb(q QueryConfig) (userdb.Driver, error) {
	pool, q, err := d.resolve(q)
	if err != nil {
		return nil, err
	}
	return newUsers(pool, q, d.options.Now)
}

// prepare makes a query ready; nil for an empty one.
func prepare(pool *sqlpool.Pool, key, text string) (*query, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxQuery {
		return nil, fail.New(fail.Invalid, "%s is longer than %d bytes", key, maxQuery)
	}
	t, err := template(key, text)
	if err != nil {
		return nil, fail.Wrap(fail.Invalid, err, "%s", key)
	}
	q, err := parseQuery(pool.Driver(), pool.Placeholder, t)
	return q, fail.Wrap(fail.Invalid, err, "%s", key)
}
