package static

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// name is Dovecot's name of the driver.
const name = "static"

// PassConfig is the section `static` of a password database.
type PassConfig struct {
	PasswordFile conf.SecretFile   `yaml:"password_file" path:"read" doc:"File with the one password of all users, as authd hash prints it."`
	NoPassword   bool              `yaml:"nopassword" doc:"Take any password: something else has checked it. Only for listeners that nobody but that can reach."`
	Fields       map[string]string `yaml:"fields" example:"{proxy: \"y\", host: 192.0.2.10}" doc:"Extra fields, with variables."`
}

// UserConfig is the section `static` of a user database.
type UserConfig struct {
	Fields        map[string]string `yaml:"fields" example:"{uid: \"5000\", gid: \"5000\", home: '/var/vmail/%{domain}/%{username}'}" doc:"uid, gid, home and extra fields, with variables."`
	AllowAllUsers bool              `yaml:"allow_all_users" doc:"Answer for every name without asking the password databases whether it exists: whoever sends mail here has checked the recipients."`
}

// Validate reports what no login could repair.
func (c PassConfig) Validate(p *conf.Reporter) {
	if (c.PasswordFile == "") != c.NoPassword {
		p.At("nopassword").Errorf("set either password_file or nopassword")
	}
	checkFields(p, c.Fields, "password", "nopassword", "user")
}

// Validate reports templates that cannot be read.
func (c UserConfig) Validate(p *conf.Reporter) { checkFields(p, c.Fields, "user") }

func checkFields(p *conf.Reporter, fields map[string]string, reserved ...string) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if key == "" || strings.ContainsAny(key, "= \t") || slices.Contains(reserved, key) {
			p.At("fields").Errorf("%q cannot be set here", key)
		}
		if _, err := expand.Parse(fields[key]); err != nil {
			p.At("fields[%s]", key).Errorf("%v", err)
		}
	}
}

// fields are templates by key, in a fixed order.
type fields []struct {
	key  string
	text expand.Template
}

func parse(in map[string]string) (fields, error) {
	var fs fields
	for _, key := range slices.Sorted(maps.Keys(in)) {
		t, err := expand.Parse(in[key])
		if err != nil {
			return nil, fail.Wrap(fail.Invalid, err, "field %s", key)
		}
		fs = append(fs, struct {
			key  string
			text expand.Template
		}{key, t})
	}
	return fs, nil
}

func (fs fields) expand(r *request.Request) ([]account.Field, error) {
	var out []account.Field
	for _, f := range fs {
		value, err := f.text.Expand(r, nil)
		if err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "static: field %s", f.key)
		}
		out = append(out, account.Field{Key: f.key, Value: value})
	}
	return out, nil
}

// Pass is the password database.
type Pass struct {
	stored     string
	noPassword bool
	fields     fields
}

// NewPass reads the password file.
func NewPass(c PassConfig) (*Pass, error) {
	p := &Pass{noPassword: c.NoPassword}
	var err error
	if !c.NoPassword {
		if p.stored, err = c.PasswordFile.Read(); err != nil {
			return nil, err
		}
	}
	p.fields, err = parse(c.Fields)
	return p, err
}

// Name is Dovecot's name of the driver.
func (*Pass) Name() string { return name }

// Lookup gives everybody the same password.
func (p *Pass) Lookup(_ context.Context, r *request.Request) (passdb.Account, error) {
	fs, err := p.fields.expand(r)
	if err != nil {
		return passdb.Account{}, err
	}
	fs = append(fs, account.Field{Key: "password", Value: p.stored})
	if p.noPassword {
		fs = append(fs, account.Field{Key: "nopassword", Flag: true})
	}
	return passdb.FromFields(r.User, "PLAIN", fs)
}

// Exists says whether there is a user: nil, fail.NotFound, or an outage.
type Exists func(ctx context.Context, r *request.Request) error

// Users is the user database.
type Users struct {
	fields fields
	exists Exists
}

// NewUsers makes it; exists may be nil only with allow_all_users.
func NewUsers(c UserConfig, exists Exists) (*Users, error) {
	if c.AllowAllUsers {
		exists = func(context.Context, *request.Request) error { return nil }
	}
	if exists == nil {
		return nil, fail.New(fail.Invalid, "static: without allow_all_users something must know who exists")
	}
	fs, err := parse(c.Fields)
	return &Users{fields: fs, exists: exists}, err
}

// Name is Dovecot's name of the driver.
func (*Users) Name() string { return name }

// Lookup fills in the fields for a user who exists.
func (u *Users) Lookup(ctx context.Context, r *request.Request) (userdb.Record, error) {
	if err := u.exists(ctx, r); err != nil {
		return userdb.Record{}, err
	}
	fs, err := u.fields.expand(r)
	if err != nil {
		return userdb.Record{}, err
	}
	return userdb.FromFields(r.User, fs)
}
