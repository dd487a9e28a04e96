package request

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
)

// Var returns the variable called name, by the long names of Dovecot 2.3 and
// 2.4: user, username, domain, service, mechanism, session, local_ip,
// remote_ip, …, passdb:KEY, userdb:KEY, forward:KEY. A name that is known but
// has no value is the empty text; ok is false for unknown names.
func (r *Request) Var(name string) (value string, ok bool) {
	if group, key, found := strings.Cut(name, ":"); found {
		switch group {
		case "passdb":
			return field(r.Passdb, key), true
		case "userdb":
			return field(r.Userdb, key), true
		case "forward":
			return field(r.Forward, key), true
		}
		return "", false
	}
	if v, ok := r.who(name); ok {
		return v, true
	}
	return r.where(name)
}

func (r *Request) who(name string) (string, bool) {
	local, domain := account.Split(r.User)
	switch name {
	case "user":
		return r.User, true
	case "username":
		return local, true
	case "domain":
		return domain, true
	case "domain_first":
		_, rest, _ := strings.Cut(r.User, "@")
		first, _, _ := strings.Cut(rest, "@")
		return first, true
	case "domain_last":
		return domain, true
	case "orig_user", "original_user":
		return r.Original, true
	case "orig_username", "original_username":
		local, _ := account.Split(r.Original)
		return local, true
	case "orig_domain", "original_domain":
		_, domain := account.Split(r.Original)
		return domain, true
	case "auth_user":
		return r.authUser(), true
	case "auth_username":
		local, _ := account.Split(r.authUser())
		return local, true
	case "auth_domain":
		_, domain := account.Split(r.authUser())
		return domain, true
	case "cert":
		if r.ClientCert {
			return "valid", true
		}
		return "", true
	}
	return "", false
}

// authUser is the name whose password was checked.
func (r *Request) authUser() string {
	if r.AuthUser != "" {
		return r.AuthUser
	}
	return r.User
}

func (r *Request) where(name string) (string, bool) {
	switch name {
	case "service", "protocol":
		return r.Service, true
	case "mech", "mechanism":
		return r.Mech, true
	case "session":
		return r.Session, true
	case "local_name":
		return r.LocalName, true
	case "client_id":
		return r.ClientID, true
	case "secured":
		if r.Secured {
			return "secured", true
		}
		return "", true
	case "lip", "local_ip":
		return ip(r.Local), true
	case "rip", "remote_ip":
		return ip(r.Remote), true
	case "lport", "local_port":
		return port(r.Local), true
	case "rport", "remote_port":
		return port(r.Remote), true
	case "real_lip", "real_local_ip":
		return ip(or(r.RealLocal, r.Local)), true
	case "real_rip", "real_remote_ip":
		return ip(or(r.RealRemote, r.Remote)), true
	case "real_lport", "real_local_port":
		return port(or(r.RealLocal, r.Local)), true
	case "real_rport", "real_remote_port":
		return port(or(r.RealRemote, r.Remote)), true
	}
	return "", false
}

func or(a, b netip.AddrPort) netip.AddrPort {
	if a.IsValid() {
		return a
	}
	return b
}

func ip(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return ""
	}
	return a.Addr().String()
}

func port(a netip.AddrPort) string {
	if a.Port() == 0 {
		return ""
	}
	return strconv.Itoa(int(a.Port()))
}

func field(fs []account.Field, key string) string {
	for _, f := range fs {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}
