package helper

import (
	"context"
	"errors"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Config is a database entry's section `pam`, `shadow`, `checkpassword` or,
// for users, `passwd`.
type Config struct {
	Socket  string        `yaml:"socket" path:"connect" doc:"Unix socket of the helper unit."`
	Service string        `yaml:"service" doc:"PAM service, that is the file in /etc/pam.d; variables are expanded, such as %{service}. Other helpers ignore it."`
	Name    string        `yaml:"user" doc:"Name that the helper is asked for; system users have no domain, so %{username} is common."`
	Timeout conf.Duration `yaml:"timeout" min:"1s" max:"10m" doc:"How long one request may take."`
	Limit   int           `yaml:"limit" min:"1" max:"1000" doc:"Requests at a time; further ones wait. Each is a process."`
}

// DefaultConfig is the section of a driver called name when it says nothing.
func DefaultConfig(name string) Config {
	unit := name
	if name == "passwd" { // the name service is in the PAM helper
		unit = "pam"
	}
	return Config{
		Socket: "/run/postcote-authd-" + unit + "/socket", Service: "postcote", Name: "%{user}",
		Timeout: conf.Duration(30e9), Limit: 10,
	}
}

// Validate reports templates that cannot be read.
func (c Config) Validate(p *conf.Reporter) {
	for _, t := range []struct{ key, text string }{{"service", c.Service}, {"user", c.Name}} {
		if _, err := expand.Parse(t.text); err != nil {
			p.At("%s", t.key).Errorf("%v", err)
		}
	}
}

// Driver is a password and user database behind a helper.
type Driver struct {
	name    string
	client  *Client
	service expand.Template
	user    expand.Template
}

// New makes the driver; name is Dovecot's, for the log: "pam", "shadow",
// "passwd", "checkpassword".
func New(name string, c Config) (*Driver, error) {
	service, err := expand.Parse(c.Service)
	if err != nil {
		return nil, err
	}
	user, err := expand.Parse(c.Name)
	if err != nil {
		return nil, err
	}
	return &Driver{
		name: name, client: NewClient(c.Socket, c.Timeout.Std(), c.Limit), service: service, user: user,
	}, nil
}

// Name is Dovecot's name of the driver.
func (d *Driver) Name() string { return d.name }

// Verify has the helper check the password.
func (d *Driver) Verify(ctx context.Context, r *request.Request, password string) (passdb.Account, error) {
	service, err := d.service.Expand(r, nil)
	if err != nil {
		return passdb.Account{}, err
	}
	user, err := d.user.Expand(r, nil)
	if err != nil {
		return passdb.Account{}, err
	}
	a, err := d.client.Auth(ctx, service, r, user, password)
	if err != nil {
		return passdb.Account{}, d.refused(r.User, err)
	}
	acct, err := passdb.FromFields(r.User, "", accountFields(a.Fields))
	if err == nil && acct.Stored != "" {
		err = fail.New(fail.Unavailable, "helper for %s answered with a password", d.name)
	}
	return acct, err
}

// refused turns the helper's word into the chain's.
func (d *Driver) refused(user string, err error) error {
	var r Refusal
	if !errors.As(err, &r) {
		return err
	}
	switch r {
	case Unknown:
		return fail.New(fail.NotFound, "no user %s", user)
	case Disabled:
		return passdb.Refuse(d.name, passdb.Disabled)
	case Expired:
		return passdb.Refuse(d.name, passdb.Expired)
	}
	return passdb.Refuse(d.name, passdb.Mismatch)
}

// Users is the user database behind a helper: NSS, whatever it draws from.
type Users struct{ d *Driver }

// Users returns the user database that the same helper is.
func (d *Driver) Users() *Users { return &Users{d} }

// Name is Dovecot's name of the driver.
func (u *Users) Name() string { return u.d.name }

// Lookup asks the helper where the user lives.
func (u *Users) Lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	user, err := u.d.user.Expand(r, nil)
	if err != nil {
		return userdb.Record{}, err
	}
	a, err := u.d.client.User(ctx, user)
	if err != nil {
		var refused Refusal
		if errors.As(err, &refused) && refused == Unknown {
			return userdb.Record{}, fail.New(fail.NotFound, "no user %s", r.User)
		}
		return userdb.Record{}, fail.Wrap(fail.Unavailable, err, "%s", u.d.name)
	}
	return userdb.FromFields(r.User, accountFields(a.Fields))
}

func accountFields(fs dovecotauth.Fields) []account.Field {
	all := make([]account.Field, 0, len(fs))
	for _, f := range fs {
		all = append(all, account.Field{Key: f.Key, Value: f.Value, Flag: f.Flag})
	}
	return all
}
