//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/sqldb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// The name, the user and the password of the databases; the password holds
// what connection strings would trip over.
const (
	sqlName     = "mail"
	sqlUser     = "authd"
	sqlPassword = `s3cret'"\ %u$`
)

// sqlServer is a private database server. It runs as an unprivileged user of
// its own, since these servers refuse root.
type sqlServer struct {
	t      *testing.T
	driver string // as in the configuration
	dir    string
	port   int
	cmd    *exec.Cmd
}

// sqlDrivers lists the servers that tests run against.
func sqlDrivers() []string { return []string{"pgsql", "mysql"} }

// pgBin finds a program of PostgreSQL.
func pgBin(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) == 0 {
		need(t, name)
		return name
	}
	return found[len(found)-1]
}

// startSQL makes and starts a server with an empty database.
func startSQL(t *testing.T, driver string) *sqlServer {
	t.Helper()
	s := &sqlServer{t: t, driver: driver, dir: tempDir(t, "sql"), port: freePort(t)}
	cert, key, err := tlsx.SelfSigned([]string{"localhost", "127.0.0.1"}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s.path("cert.pem"), string(cert), 0o644)
	write(t, s.path("key.pem"), string(key), 0o600)
	write(t, s.path("password"), sqlPassword+"\n", 0o644)
	s.own(s.dir, s.path("key.pem"))
	s.install()
	t.Cleanup(func() {
		s.stop(syscall.SIGKILL)
		if t.Failed() {
			log, _ := os.ReadFile(s.path("log"))
			t.Logf("log of %s:\n%s", s.driver, log[max(0, len(log)-4000):])
		}
	})
	s.start()
	s.grant()
	return s
}

func (s *sqlServer) path(name string) string { return filepath.Join(s.dir, name) }

// account is whom the server runs as.
func (s *sqlServer) account() string {
	if s.driver == "pgsql" {
		return "postgres"
	}
	return "mysql"
}

func (s *sqlServer) own(paths ...string) {
	s.t.Helper()
	if os.Getuid() == 0 {
		run(s.t, "", "chown", append([]string{s.account() + ":"}, paths...)...)
	}
}

// as is a command line that runs under the server's account.
func (s *sqlServer) as(args ...string) []string {
	s.t.Helper()
	if os.Getuid() != 0 {
		return args
	}
	u, err := user.Lookup(s.account())
	if err != nil {
		s.t.Fatal(err)
	}
	return append([]string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "--"}, args...)
}

func (s *sqlServer) install() {
	s.t.Helper()
	var args []string
	if s.driver == "pgsql" {
		args = s.as(pgBin(s.t, "initdb"), "-D", s.path("data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	} else {
		need(s.t, "mariadb-install-db", "mariadbd")
		args = s.as("mariadb-install-db", "--no-defaults", "--datadir="+s.path("data"), "--auth-root-authentication-method=normal", "--skip-test-db", "--cross-bootstrap")
	}
	run(s.t, "", args[0], args[1:]...)
	if s.driver == "pgsql" {
		write(s.t, s.path("data/pg_hba.conf"), "local all postgres trust\nlocal all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n", 0o644)
	}
}

func (s *sqlServer) start() {
	s.t.Helper()
	var args []string
	if s.driver == "pgsql" {
		args = s.as(pgBin(s.t, "postgres"), "-D", s.path("data"), "-k", s.dir, "-p", strconv.Itoa(s.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "ssl=on",
			"-c", "ssl_cert_file="+s.path("cert.pem"), "-c", "ssl_key_file="+s.path("key.pem"))
	} else {
		args = s.as("mariadbd", "--no-defaults", "--datadir="+s.path("data"), "--socket="+s.socket(), "--port="+strconv.Itoa(s.port),
			"--bind-address=127.0.0.1", "--pid-file="+s.path("pid"), "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M",
			"--ssl-cert="+s.path("cert.pem"), "--ssl-key="+s.path("key.pem"))
	}
	log, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, s.driver+" answers", func() bool {
		_, err := s.try("SELECT 1")
		return err == nil
	})
}

func (s *sqlServer) socket() string {
	if s.driver == "pgsql" {
		return s.path(".s.PGSQL." + strconv.Itoa(s.port))
	}
	return s.path("mysqld.sock")
}

// try runs statements as the server's administrator.
func (s *sqlServer) try(statements string) (string, error) {
	if s.driver == "pgsql" {
		args := []string{"-h", s.dir, "-p", strconv.Itoa(s.port), "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-qAt"}
		if s.exists() {
			args = append(args, "-d", sqlName)
		}
		return try(statements, "psql", args...)
	}
	args := []string{"--no-defaults", "--socket=" + s.socket(), "-u", "root", "-N", "--default-character-set=utf8mb4"}
	if s.exists() {
		args = append(args, sqlName)
	}
	return try(statements, "mariadb", args...)
}

// exists: the database was made.
func (s *sqlServer) exists() bool {
	_, err := os.Stat(s.path("made"))
	return err == nil
}

func (s *sqlServer) exec(statements string) string {
	s.t.Helper()
	out, err := s.try(statements)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", statements, err, out)
	}
	return strings.TrimSpace(out)
}

// grant makes the database and the user.
func (s *sqlServer) grant() {
	s.t.Helper()
	quoted := strings.ReplaceAll(sqlPassword, "'", "''")
	if s.driver == "pgsql" {
		s.exec(fmt.Sprintf("CREATE DATABASE %s;\nCREATE ROLE %s LOGIN PASSWORD '%s';", sqlName, sqlUser, quoted))
		write(s.t, s.path("made"), "", 0o644)
		s.exec("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO " + sqlUser)
		return
	}
	quoted = strings.ReplaceAll(quoted, `\`, `\\`)
	s.exec(fmt.Sprintf("CREATE DATABASE %s CHARACTER SET utf8mb4; CREATE USER '%[2]s'@'%%' IDENTIFIED BY '%[3]s'; GRANT ALL ON %[1]s.* TO '%[2]s'@'%%';",
		sqlName, sqlUser, quoted))
	write(s.t, s.path("made"), "", 0o644)
}

// processes are the server and its children.
func (s *sqlServer) processes() []int {
	all := []int{s.cmd.Process.Pid}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(s.cmd.Process.Pid) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			all = append(all, pid)
		}
	}
	return all
}

func (s *sqlServer) signal(sig syscall.Signal) {
	for _, pid := range s.processes() {
		_ = syscall.Kill(pid, sig)
	}
}

// freeze makes the server hang, thaw ends that.
func (s *sqlServer) freeze() {
	s.t.Helper()
	eventually(s.t, "the server stands still", func() bool {
		s.signal(syscall.SIGSTOP) // those too that it has forked meanwhile
		return !slices.ContainsFunc(s.processes(), func(pid int) bool { return !standsStill(pid) })
	})
}

func (s *sqlServer) thaw() { s.signal(syscall.SIGCONT) }

// stop ends the server: at once with SIGKILL, in order otherwise.
func (s *sqlServer) stop(sig syscall.Signal) {
	if s.cmd == nil {
		return
	}
	if sig == syscall.SIGKILL {
		s.signal(sig)
	} else {
		_ = s.cmd.Process.Signal(sig)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
	_ = os.Remove(s.path("data/postmaster.pid"))
}

// quickly is the signal after which a server gives up its connections.
func (s *sqlServer) quickly() syscall.Signal {
	if s.driver == "pgsql" {
		return syscall.SIGINT // "fast"
	}
	return syscall.SIGTERM
}

// config is how authd would reach the server. Tests of servers that hang set
// shorter times.
func (s *sqlServer) config() sqldb.DatabaseConfig {
	return sqldb.DatabaseConfig{
		Driver: s.driver, Hosts: []string{fmt.Sprintf("127.0.0.1:%d", s.port)}, DBName: sqlName, User: sqlUser,
		PasswordFile: conf.SecretFile(s.path("password")), PoolSize: 4,
		ConnectTimeout: conf.Duration(20 * time.Second), QueryTimeout: conf.Duration(20 * time.Second), RetryAfter: conf.Duration(time.Second),
	}
}
