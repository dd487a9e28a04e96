package drivers

import (
	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/identity/imaplogin"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/userdb"
)

// system is users of the system, by helper programs, and of another server.
func system() []driver {
	return []driver{
		{name: "pam", passdb: func(_ *builder, e *authconf.Passdb) (passdb.Driver, error) {
			return helped("pam", sectionOr(e.PAM).Config)
		}},
		{name: "shadow", passdb: func(_ *builder, e *authconf.Passdb) (passdb.Driver, error) {
			return helped("shadow", sectionOr(e.Shadow).Config)
		}},
		{name: "passwd", userdb: func(_ *builder, e *authconf.Userdb) (userdb.Driver, error) {
			return helpedUsers("passwd", sectionOr(e.Passwd).Config)
		}},
		{
			name: "checkpassword",
			passdb: func(_ *builder, e *authconf.Passdb) (passdb.Driver, error) {
				return helped("checkpassword", sectionOr(e.Checkpassword).Config)
			},
			userdb: func(_ *builder, e *authconf.Userdb) (userdb.Driver, error) {
				return helpedUsers("checkpassword", sectionOr(e.Checkpassword).Config)
			},
		},
		{name: "imap", passdb: func(_ *builder, e *authconf.Passdb) (passdb.Driver, error) {
			return imaplogin.New(sectionOr(e.IMAP).Config)
		}},
	}
}

// preset is a section that knows its defaults.
type preset[T any] interface {
	*T
	Preset()
}

// sectionOr is the section, or its defaults when there is none.
func sectionOr[T any, P preset[T]](s P) P {
	if s == nil {
		s = new(T)
		s.Preset()
	}
	return s
}

func helped(name string, c helper.Config) (passdb.Driver, error) { return helper.New(name, c) }

func helpedUsers(name string, c helper.Config) (userdb.Driver, error) {
	d, err := helper.New(name, c)
	if err != nil {
		return nil, err
	}
	return d.Users(), nil
}
