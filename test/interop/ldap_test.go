//go:build interop

package interop

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/ldapdb"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	ldapBase    = "dc=example,dc=org"
	ldapService = "cn=postcote,ou=services,dc=example,dc=org"
	ldapUsers   = 1200 // beside those with a name; more than two pages
	nobodyID    = 65534
)

// slapd is a private OpenLDAP server.
type slapd struct {
	dir   string
	port  int // ldap, with StartTLS
	tls   int // ldaps
	ca    string
	cert  string // of a client
	key   string
	ldapi string
	cmd   *exec.Cmd
}

// startSlapd serves the test's people on loopback and a Unix socket, as an
// unprivileged user.
func startSlapd(t *testing.T) *slapd {
	t.Helper()
	need(t, "slapd", "slapadd", "ldapmodify")
	dir, err := os.MkdirTemp("", "slapd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &slapd{dir: dir, port: freePort(t), tls: freePort(t)}
	s.ldapi = "ldapi://" + url.PathEscape(filepath.Join(dir, "ldapi"))
	s.ca, s.cert, s.key = authority(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "slapd.conf"), s.config(), 0o644)
	people := write(t, filepath.Join(dir, "people.ldif"), ldapPeople(), 0o644)
	if os.Getuid() == 0 {
		run(t, "", "chown", "-R", fmt.Sprint(nobodyID, ":", nobodyID), dir)
	}
	add := s.command("slapadd", "-q", "-f", filepath.Join(dir, "slapd.conf"), "-l", people)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	s.start(t)
	t.Cleanup(func() { s.stop() })
	return s
}

// command runs a program as the unprivileged user.
func (s *slapd) command(name string, args ...string) *exec.Cmd {
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = s.dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
	}
	return cmd
}

func (s *slapd) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd = s.command("slapd", "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"),
		"-h", fmt.Sprintf("ldap://127.0.0.1:%d/ ldaps://127.0.0.1:%d/ %s", s.port, s.tls, s.ldapi))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitPort(t, s.port)
	waitPort(t, s.tls)
	eventually(t, "slapd answers at its socket", func() bool {
		c, err := net.Dial("unix", filepath.Join(s.dir, "ldapi"))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func (s *slapd) stop() {
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGCONT)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *slapd) config() string {
	return fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
pidfile %[1]s/pid
argsfile %[1]s/args
TLSCACertificateFile %[2]s
TLSCertificateFile %[1]s/server.pem
TLSCertificateKeyFile %[1]s/server.key
TLSVerifyClient try
database mdb
suffix "%[3]s"
rootdn "cn=admin,%[3]s"
rootpw admin-secret
directory %[1]s/db
maxsize 67108864
index objectClass,uid,mail eq
limits dn.exact="%[4]s" size=unlimited
overlay ppolicy
ppolicy_default "cn=policy,%[3]s"
ppolicy_use_lockout
access to attrs=userPassword
  by dn.exact="%[4]s" read
  by anonymous auth
  by * none
access to *
  by dn.exact="%[4]s" read
  by dn.exact="cn=machine,o=postcote" read
  by dn.exact="gidNumber=%[5]d+uidNumber=%[6]d,cn=peercred,cn=external,cn=auth" read
  by * none
`, s.dir, s.ca, ldapBase, ldapService, os.Getgid(), os.Getuid())
}

// ldapPeople is the directory's content. Passwords are in the clear, except
// for bob's.
func ldapPeople() string {
	var b strings.Builder
	b.WriteString(`dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=policy,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMaxAge: 0

dn: cn=short,dc=example,dc=org
objectClass: device
objectClass: pwdPolicy
cn: short
pwdAttribute: userPassword
pwdMaxAge: 1

dn: ou=services,dc=example,dc=org
objectClass: organizationalUnit
ou: services

dn: cn=postcote,ou=services,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: postcote
userPassword: service-secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

`)
	person := func(uid, password, more string) {
		fmt.Fprintf(&b, `dn: uid=%[1]s,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
objectClass: posixAccount
uid: %[1]s
cn: %[1]s
sn: %[1]s
mail: %[1]s@example.org
uidNumber: 5000
gidNumber: 5001
homeDirectory: /home/%[1]s
userPassword: %[2]s
%[3]s
`, uid, password, more)
	}
	person("alice", "alice-secret", "employeeType: staff\n")
	person("bob", "{SSHA}"+ssha("bob-secret"), "")
	person("carol", "carol-secret", "")
	person("expired", "expired-secret", "pwdPolicySubentry: cn=short,dc=example,dc=org\npwdChangedTime: 20200101000000Z\n")
	person("locked", "locked-secret", "pwdAccountLockedTime: 000001010000Z\n")
	for i := range ldapUsers {
		person(fmt.Sprintf("user%04d", i), "x", "")
	}
	return b.String()
}

// server is how to reach the directory, over TLS.
func (s *slapd) server(t *testing.T) ldapdb.ServerConfig {
	t.Helper()
	c := ldapdb.DefaultServerConfig()
	c.URIs, c.StartTLS, c.CAFile = []string{s.uri()}, true, s.ca
	c.BindDN = ldapService
	c.BindPasswordFile = conf.SecretFile(write(t, filepath.Join(t.TempDir(), "password"), "service-secret\n", 0o600))
	return c
}

func (s *slapd) uri() string { return fmt.Sprintf("ldap://127.0.0.1:%d", s.port) }

func ldapConfig() ldapdb.Config {
	c := ldapdb.DefaultConfig()
	c.Database, c.Base = "test", "ou=people,"+ldapBase
	c.PassFilter, c.UserFilter = "(&(objectClass=posixAccount)(|(uid=%n)(mail=%u)))", "(&(objectClass=posixAccount)(|(uid=%n)(mail=%u)))"
	c.PassAttrs = "mail=user,userPassword=password,employeeType=userdb_class"
	c.UserAttrs = "mail=user,homeDirectory=home,uidNumber=uid,gidNumber=gid,=mail=maildir:~/%{ldap:uid}"
	c.IterateAttrs = "mail=user"
	c.DomainFilter = "(mail=*@%d)"
	c.AliasFilter, c.AliasAttr = "(employeeType=%n)", "mail"
	return c
}

// openLDAP makes the two databases of a configuration.
func openLDAP(t *testing.T, server ldapdb.ServerConfig, c ldapdb.Config) (passdb.Driver, *ldapdb.Userdb) {
	t.Helper()
	servers, err := ldapdb.Open(map[string]ldapdb.ServerConfig{"test": server}, ldapdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	p, err := servers.Passdb(c)
	if err != nil {
		t.Fatal(err)
	}
	u, err := servers.Userdb(c)
	if err != nil {
		t.Fatal(err)
	}
	return p, u
}

func asking(user string) *request.Request { return &request.Request{User: user, Service: "imap"} }

// hostile names must be unknown, and nothing else.
var hostile = []string{
	"*", "*)(uid=*", "*)(objectClass=*", "nobody)(|(uid=*", "alice)(userPassword=*", `alice\29`, "alice\x00", "alice*", "al*",
	"*)(|(objectClass=*", "(uid=alice)", "!(uid=x)", "&", "\xff\xfe", strings.Repeat("(", 500),
}

// A real server answers lookups, and hostile names find nobody.
func TestLDAPLookups(t *testing.T) {
	s := startSlapd(t)
	p, u := openLDAP(t, s.server(t), ldapConfig())
	db := p.(passdb.Lookuper)
	for user, stored := range map[string]string{"alice@example.org": "{CRYPT}alice-secret", "bob": "{SSHA}" + ssha("bob-secret")} {
		a, err := db.Lookup(t.Context(), asking(user))
		if err != nil || a.Stored != stored || !strings.HasSuffix(a.User, "@example.org") {
			t.Errorf("%+v %v", a, err)
		}
	}
	if a, err := db.Lookup(t.Context(), asking("alice")); err != nil || len(a.Userdb) != 1 || a.Userdb[0].Value != "staff" {
		t.Errorf("%+v %v", a, err)
	}
	r, err := u.Lookup(t.Context(), asking("alice"))
	if err != nil || r.User != "alice@example.org" || r.UID != 5000 || r.GID != 5001 || r.Home != "/home/alice" || len(r.Fields) != 1 || r.Fields[0].Value != "maildir:~/alice" {
		t.Errorf("%+v %v", r, err)
	}
	for _, user := range append(hostile, "nobody", "postcote") {
		if a, err := db.Lookup(t.Context(), asking(user)); !fail.Is(err, fail.NotFound) {
			t.Errorf("passdb: %.40q: %+v %v", user, a, err)
		}
		if r, err := u.Lookup(t.Context(), asking(user)); !fail.Is(err, fail.NotFound) {
			t.Errorf("userdb: %.40q: %+v %v", user, r, err)
		}
	}
	for domain, want := range map[string]bool{"example.org": true, "example.net": false, "*": false} {
		if has, err := u.HasDomain(t.Context(), domain); has != want || err != nil {
			t.Errorf("%s: %v %v", domain, has, err)
		}
	}
	if list, err := u.Aliases(t.Context(), "staff@example.org"); err != nil || len(list) != 1 || list[0] != "alice@example.org" {
		t.Error(list, err)
	}
	if list, err := u.Aliases(t.Context(), "*@example.org"); !fail.Is(err, fail.NotFound) {
		t.Error(list, err)
	}
	names := map[string]bool{}
	for name, err := range u.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names[name] = true
	}
	if len(names) != ldapUsers+5 || !names["alice@example.org"] || !names["user1199@example.org"] {
		t.Errorf("%d names", len(names))
	}
	two := ldapConfig()
	two.PassFilter = "(objectClass=posixAccount)"
	p, _ = openLDAP(t, s.server(t), two)
	if a, err := p.(passdb.Lookuper).Lookup(t.Context(), asking("alice")); !fail.Is(err, fail.Unavailable) {
		t.Errorf("more than one entry: %+v %v", a, err)
	}
}

// Passwords are checked by bind: with a search first, and with a DN template.
func TestLDAPBind(t *testing.T) {
	s := startSlapd(t)
	search := ldapConfig()
	search.AuthBind = true
	template := search
	template.AuthBindUserDN = "uid=%n,ou=people," + ldapBase
	for _, c := range []ldapdb.Config{search, template} {
		p, _ := openLDAP(t, s.server(t), c)
		v := p.(passdb.Verifier)
		for range 3 {
			for user, password := range map[string]string{"alice": "alice-secret", "bob": "bob-secret"} {
				if _, err := v.Verify(t.Context(), asking(user), password); err != nil {
					t.Error(user, err)
				}
			}
		}
		for user, reason := range map[string]passdb.Reason{"locked": passdb.Locked, "expired": passdb.Expired} {
			_, err := v.Verify(t.Context(), asking(user), user+"-secret")
			if r := passdb.RefusedOf(err); r == nil || r.Reason != reason {
				t.Errorf("%s: %v", user, err)
			}
		}
		for _, password := range []string{"", "wrong", "alice-secret ", "ALICE-SECRET", "\x00"} {
			_, err := v.Verify(t.Context(), asking("carol"), password)
			if passdb.RefusedOf(err) == nil {
				t.Errorf("%q: %v", password, err)
			}
			if _, err := v.Verify(t.Context(), asking("carol"), "carol-secret"); err != nil { // and the count of failures starts again
				t.Errorf("after %q: %v", password, err)
			}
		}
		for _, user := range append(hostile, "nobody") {
			if _, err := v.Verify(t.Context(), asking(user), "alice-secret"); passdb.RefusedOf(err) == nil && !fail.Is(err, fail.NotFound) {
				t.Errorf("%.40q: %v", user, err)
			}
		}
	}
	// A changed password counts at once.
	p, _ := openLDAP(t, s.server(t), search)
	run(t, "dn: uid=carol,ou=people,"+ldapBase+"\nchangetype: modify\nreplace: userPassword\nuserPassword: new-secret\n",
		"ldapmodify", "-x", "-H", s.uri(), "-D", "cn=admin,"+ldapBase, "-w", "admin-secret")
	if _, err := p.(passdb.Verifier).Verify(t.Context(), asking("carol"), "new-secret"); err != nil {
		t.Error(err)
	}
	_, err := p.(passdb.Verifier).Verify(t.Context(), asking("carol"), "carol-secret")
	if passdb.RefusedOf(err) == nil {
		t.Error(err)
	}
}

// StartTLS, ldaps and SASL EXTERNAL; a server with another certificate is none.
func TestLDAPEncryption(t *testing.T) {
	s := startSlapd(t)
	other, _, _ := authority(t, t.TempDir())
	lookup := func(edit func(c *ldapdb.ServerConfig)) error {
		c := s.server(t)
		edit(&c)
		_, u := openLDAP(t, c, ldapConfig())
		_, err := u.Lookup(t.Context(), asking("alice"))
		return err
	}
	external := func(c *ldapdb.ServerConfig) { c.SASLExternal, c.BindDN, c.BindPasswordFile = true, "", "" }
	for name, edit := range map[string]func(c *ldapdb.ServerConfig){
		"starttls": func(*ldapdb.ServerConfig) {},
		"ldaps":    func(c *ldapdb.ServerConfig) { c.URIs = []string{fmt.Sprintf("ldaps://127.0.0.1:%d", s.tls)} },
		"ldapi":    func(c *ldapdb.ServerConfig) { c.URIs = []string{s.ldapi} },
		"external, by process": func(c *ldapdb.ServerConfig) {
			c.URIs = []string{s.ldapi}
			external(c)
		},
		"external, by certificate": func(c *ldapdb.ServerConfig) {
			c.CertFile, c.KeyFile = s.cert, s.key
			external(c)
		},
	} {
		if err := lookup(edit); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, edit := range map[string]func(c *ldapdb.ServerConfig){
		"another authority":        func(c *ldapdb.ServerConfig) { c.CAFile = other },
		"the system's authorities": func(c *ldapdb.ServerConfig) { c.CAFile = "" },
		"another host":             func(c *ldapdb.ServerConfig) { c.URIs = []string{fmt.Sprintf("ldaps://localhost:%d", s.tls)} },
		"TLS where there is none":  func(c *ldapdb.ServerConfig) { c.URIs = []string{fmt.Sprintf("ldaps://127.0.0.1:%d", s.port)} },
		"none where there is TLS": func(c *ldapdb.ServerConfig) {
			c.URIs, c.StartTLS = []string{fmt.Sprintf("ldap://127.0.0.1:%d", s.tls)}, false
		},
		"external without certificate": external,
		"wrong password": func(c *ldapdb.ServerConfig) {
			c.BindPasswordFile = conf.SecretFile(write(t, filepath.Join(t.TempDir(), "wrong"), "wrong", 0o600))
		},
	} {
		if err := lookup(func(c *ldapdb.ServerConfig) {
			c.ConnectTimeout = conf.Duration(2 * time.Second)
			edit(c)
		}); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Of two servers one may die, hang and come back; with both gone it is an
// outage within the time, never an unknown user.
func TestLDAPFailOver(t *testing.T) {
	first, second := startSlapd(t), startSlapd(t)
	c := first.server(t)
	c.URIs = []string{first.uri(), second.uri()}
	ca := read(t, first.ca) + read(t, second.ca)
	c.CAFile = write(t, filepath.Join(t.TempDir(), "ca.pem"), ca, 0o644)
	const connect, answer = 8 * time.Second, 4 * time.Second
	c.ConnectTimeout, c.SearchTimeout, c.BindTimeout = conf.Duration(connect), conf.Duration(answer), conf.Duration(answer)
	c.MaxBackoff = conf.Duration(time.Second)
	bind := ldapConfig()
	bind.AuthBind = true
	p, u := openLDAP(t, c, bind)
	works := func(what string) {
		t.Helper()
		if _, err := u.Lookup(t.Context(), asking("alice")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := p.(passdb.Verifier).Verify(t.Context(), asking("alice"), "alice-secret"); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := u.Lookup(t.Context(), asking("nobody")); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	fails := func(what string) {
		t.Helper()
		began := time.Now()
		for _, user := range []string{"alice", "nobody"} {
			if _, err := u.Lookup(t.Context(), asking(user)); !fail.Is(err, fail.Unavailable) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := p.(passdb.Verifier).Verify(t.Context(), asking(user), "alice-secret"); !fail.Is(err, fail.Unavailable) || passdb.RefusedOf(err) != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if took := time.Since(began); took > 4*(connect+answer)+20*time.Second {
			t.Errorf("%s: took %s", what, took)
		}
	}
	works("both")
	first.stop()
	works("the first is dead")
	first.start(t)
	second.pause(t)
	eventually(t, "the first serves again", func() bool {
		_, err := u.Lookup(t.Context(), asking("alice"))
		return err == nil
	})
	works("the second hangs")
	first.pause(t)
	fails("both hang")
	first.resume(t)
	eventually(t, "the first is seen again", func() bool {
		_, err := p.(passdb.Verifier).Verify(t.Context(), asking("alice"), "alice-secret")
		return err == nil
	})
	works("the first goes on")
	second.resume(t)
	first.stop()
	second.stop()
	fails("both are dead")
	second.start(t)
	eventually(t, "the second is seen again", func() bool {
		_, err := p.(passdb.Verifier).Verify(t.Context(), asking("alice"), "alice-secret")
		return err == nil
	})
	works("the second alone")
}

// pause stops the process as a debugger or a frozen host would.
func (s *slapd) pause(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped(t, s.cmd.Process.Pid)
}

func (s *slapd) resume(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// A real Dovecot and we read the same file and say the same.
func TestLDAPDovecotFile(t *testing.T) {
	need(t, "dovecot", "doveadm")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	s := startSlapd(t)
	file := write(t, filepath.Join(s.dir, "dovecot-ldap.conf.ext"), fmt.Sprintf(`# the same file for both
uris = %s
dn = %s
dnpass = service-secret#a comment, even without a space before it
base = ou=people,%s
auth_bind = yes
pass_filter = (&(objectClass=posixAccount)(uid=%%n))
pass_attrs = \
  mail=user, \
  employeeType=userdb_class
user_filter = (&(objectClass=posixAccount)(uid=%%n))
user_attrs = homeDirectory=home, uidNumber=uid, gidNumber=gid, \
  =mail=maildir:/mail/%%d/%%{ldap:uid}, \
  employeeType=class=is %%{ldap:employeeType}, =more=%%{ldap:employeeType:none}
iterate_attrs = mail=user
iterate_filter = (&(objectClass=posixAccount)(!(uid=user*)))
`, s.uri(), ldapService, ldapBase), 0o644)
	main := write(t, filepath.Join(s.dir, "dovecot.conf"), fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-ldap
log_path = %[1]s/dovecot.log
protocols =
ssl = no
disable_plaintext_auth = no
auth_username_chars =
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = ldap
  args = %[2]s
}
userdb {
  driver = ldap
  args = %[2]s
}
`, s.dir, file), 0o644)
	run(t, "", "chmod", "755", s.dir)
	run(t, "", "dovecot", "-c", main)
	t.Cleanup(func() {
		_, _ = try("", "doveadm", "-c", main, "stop")
		if t.Failed() {
			t.Logf("Dovecot log:\n%s", read(t, filepath.Join(s.dir, "dovecot.log")))
		}
	})
	c := ldapdb.DefaultConfig()
	c.DovecotFile = file
	p, u := openLDAP(t, s.server(t), c)
	for _, login := range [][2]string{
		{"alice@example.org", "alice-secret"},
		{"alice@example.org", "wrong"},
		{"bob@example.org", "bob-secret"},
		{"nobody@example.org", "x"},
		{"*@example.org", "alice-secret"},
		{"alice)(uid=*@example.org", "alice-secret"},
		{"alice*@example.org", "alice-secret"},
	} {
		_, theirs := try("", "doveadm", "-c", main, "auth", "test", login[0], login[1])
		_, ours := p.(passdb.Verifier).Verify(t.Context(), asking(login[0]), login[1])
		if (theirs == nil) != (ours == nil) || (ours != nil && fail.Is(ours, fail.Unavailable)) {
			t.Errorf("%s: Dovecot says %v, we say %v", login[0], theirs, ours)
		}
	}
	for _, user := range []string{"alice@example.org", "bob@example.org"} {
		theirs := strings.Fields(strings.ReplaceAll(run(t, "", "doveadm", "-c", main, "user", user), "is staff", "is_staff"))
		r, err := u.Lookup(t.Context(), asking(user))
		if err != nil {
			t.Error(err)
			continue
		}
		if ours := recordText(r); strings.Join(theirs[2:], " ") != ours { // the first two are a heading
			t.Errorf("Dovecot: %q\nwe:      %q", theirs[2:], ours)
		}
	}
	theirs := strings.Fields(run(t, "", "doveadm", "-c", main, "user", "*"))
	var ours []string
	for name, err := range u.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ours = append(ours, name)
	}
	if len(ours) != 5 || strings.Join(ours, " ") != strings.Join(theirs, " ") {
		t.Errorf("Dovecot: %q\nwe:      %q", theirs, ours)
	}
}

// recordText is a record as doveadm prints it.
func recordText(r userdb.Record) string {
	parts := []string{"uid", fmt.Sprint(r.UID), "gid", fmt.Sprint(r.GID), "home", r.Home}
	for _, f := range r.Fields {
		parts = append(parts, f.Key, strings.ReplaceAll(f.Value, "is staff", "is_staff"))
	}
	return strings.Join(parts, " ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
