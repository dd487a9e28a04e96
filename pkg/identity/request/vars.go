package request

import (
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
)

// Var returns the variable called name, by the long names of Dovecot 2.3 and
// 2.4: user, username, domain, service, mechanism, session, local_ip,
// remote_ip, …, passdb:KEY, userdb:KEY, forward:KEY, env:NAME; a key may be
// followed by :DEFAULT for when it is not there. A name that is known but has
// no value is the empty text; ok is false for unknown names.
func (r *Request) Var(name string) (value string, ok bool) {
	if group, key, found := strings.Cut(name, ":"); found {
		return r.member(group, key)
	}
	for _, find := range []func(string) (string, bool){r.who, r.whoElse, r.where, r.how, process} {
		if v, ok := find(name); ok {
			return v, true
		}
	}
	return "", false
}

// Known reports whether requests have a variable called name.
func Known(name string) bool {
	_, ok := new(Request).Var(name)
	return ok
}

// member is a variable of a group.
func (r *Request) member(group, key string) (string, bool) {
	switch group {
	case "passdb":
		return field(r.Passdb, key), true
	case "userdb":
		return field(r.Userdb, key), true
	case "forward":
		return field(r.Forward, key), true
	case "env":
		return os.Getenv(key), true
	case "process", "system":
		return process(key)
	}
	return "", false
}

func (r *Request) who(name string) (string, bool) {
	switch name {
	case "user":
		return r.User, true
	case "username":
		return username(r.User), true
	case "domain":
		return domain(r.User), true
	case "domain_first":
		first, _, _ := strings.Cut(domain(r.User), "@")
		return first, true
	case "domain_last":
		_, last := account.Split(r.User)
		return last, true
	case "orig_user", "original_user":
		return r.Original, true
	case "orig_username", "original_username":
		return username(r.Original), true
	case "orig_domain", "original_domain":
		return domain(r.Original), true
	case "home":
		return field(r.Userdb, "home"), true
	}
	return "", false
}

func (r *Request) whoElse(name string) (string, bool) {
	switch name {
	case "auth_user":
		return r.authUser(), true
	case "auth_username":
		return username(r.authUser()), true
	case "auth_domain":
		return domain(r.authUser()), true
	case "login_user":
		return r.loginUser(), true
	case "login_username":
		return username(r.loginUser()), true
	case "login_domain":
		return domain(r.loginUser()), true
	case "master_user":
		return r.AuthUser, true
	}
	return "", false
}

// authUser is the name whose password was checked.
func (r *Request) authUser() string {
	switch {
	case r.AuthUser != "":
		return r.AuthUser
	case r.Claimed != "":
		return r.Claimed
	}
	return r.User
}

// loginUser is whom a master logs in as; empty without a master.
func (r *Request) loginUser() string {
	if r.LoginUser == "" && r.AuthUser != "" {
		return r.User
	}
	return r.LoginUser
}

// username and domain part a name as Dovecot's variables do, at its first "@".
func username(name string) string {
	local, _, _ := strings.Cut(name, "@")
	return local
}

func domain(name string) string {
	_, domain, _ := strings.Cut(name, "@")
	return domain
}

func (r *Request) how(name string) (string, bool) {
	switch name {
	case "service", "protocol":
		return r.Service, true
	case "mech", "mechanism":
		return r.Mech, true
	case "password":
		return r.Password, true
	case "session":
		return r.Session, true
	case "local_name":
		return r.LocalName, true
	case "client_id":
		return r.ClientID, true
	case "secured":
		switch {
		case r.TLS != "":
			return "TLS", true
		case r.Secured:
			return "secured", true
		}
		return "", true
	case "cert":
		if r.ClientCert {
			return "valid", true
		}
		return "", true
	}
	return "", false
}

func (r *Request) where(name string) (string, bool) {
	switch name {
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
	case "pid", "client_pid":
		if r.PID == 0 {
			return "", true
		}
		return strconv.FormatUint(uint64(r.PID), 10), true
	}
	return "", false
}

// process is what this process knows of itself.
func process(name string) (string, bool) {
	switch name {
	case "uid":
		return strconv.Itoa(os.Geteuid()), true
	case "gid":
		return strconv.Itoa(os.Getegid()), true
	case "hostname":
		full, err := os.Hostname()
		if err != nil {
			return "", true
		}
		host, _, _ := strings.Cut(full, ".")
		return host, true
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

// field is the value of "key" or "key:default".
func field(fs []account.Field, key string) string {
	key, fallback, _ := strings.Cut(key, ":")
	for _, f := range fs {
		if f.Key == key {
			return f.Value
		}
	}
	return fallback
}
