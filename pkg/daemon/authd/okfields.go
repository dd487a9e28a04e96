package authd

import (
	"slices"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

const (
	// maxOKFields keeps OK lines readable for Exim, which takes 16 fields: the
	// id, the user and what the protocol adds come to these.
	maxOKFields = 12
	// maxOKBytes keeps them within the 8192 bytes that Exim reads.
	maxOKBytes = 6000
)

// hidden lists fields of the password databases that concern nobody else.
func hidden(key string) bool {
	return slices.Contains([]string{
		"allow_nets", "allow_real_nets", "nodelay", "delay_until", "fail", "login_user", "noauthenticate", "nopassword", "passdb_import",
	}, key)
}

// important fields come first, should there be too many.
func important(key string) bool {
	return slices.Contains([]string{"nologin", "proxy", "proxy_maybe", "host", "hostip", "port", "destuser", "master", "pass", "ssl", "starttls", "reason", "anonymous"}, key)
}

// okFields are what the peer is told with a success.
func (x *exchange) okFields() dovecotauth.Fields {
	r := x.attempt.R
	fs := shown(r.Passdb)
	if r.AuthUser != "" {
		fs = append(dovecotauth.Fields{{Key: "auth_user", Value: r.AuthUser}}, fs...)
	}
	if r.Original != r.User && r.Original != "" {
		fs = append(dovecotauth.Fields{{Key: "original_user", Value: r.Original}}, fs...)
	}
	if fs.Has("proxy") && !x.noLogin {
		fs = x.forProxy(fs, r)
	}
	return fit(fs)
}

// forProxy adds what a login process needs to log in at the next server on
// the user's behalf, as Dovecot does.
func (x *exchange) forProxy(fs dovecotauth.Fields, r *request.Request) dovecotauth.Fields {
	if !fs.Has("pass") && x.password != "" {
		fs = fs.Add("pass", x.password)
	}
	if r.AuthUser != "" && !fs.Has("master") {
		fs = fs.Add("master", r.AuthUser)
	}
	return fs
}

// shown are the fields that are not only for us.
func shown(passdb []account.Field) dovecotauth.Fields {
	var fs dovecotauth.Fields
	for _, f := range passdb {
		if !hidden(f.Key) {
			fs = append(fs, dovecotauth.Field{Key: f.Key, Value: f.Value, Flag: f.Flag})
		}
	}
	return fs
}

// fit leaves out what is too much for a line.
func fit(fs dovecotauth.Fields) dovecotauth.Fields {
	slices.SortStableFunc(fs, func(a, b dovecotauth.Field) int {
		switch ia, ib := important(a.Key), important(b.Key); {
		case ia && !ib:
			return -1
		case ib && !ia:
			return 1
		}
		return 0
	})
	size := 0
	for i, f := range fs {
		size += len(f.Key) + len(f.Value) + 2
		if i >= maxOKFields || size > maxOKBytes {
			return fs[:i]
		}
	}
	return fs
}
