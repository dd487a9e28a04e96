//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/identity/sqldb"
)

// startBouncer puts a pgbouncer before a server; each transaction may get
// another of its two connections.
func startBouncer(t *testing.T, s *sqlServer) (port int) {
	t.Helper()
	need(t, "pgbouncer")
	port = freePort(t)
	quoted := strings.ReplaceAll(sqlPassword, `"`, `""`)
	write(t, s.path("users.txt"), fmt.Sprintf("\"%s\" \"%s\"\n", sqlUser, quoted), 0o644)
	ini := write(t, s.path("pgbouncer.ini"), fmt.Sprintf(`[databases]
%s = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = scram-sha-256
auth_file = %s
pool_mode = transaction
default_pool_size = 2
`, sqlName, s.port, port, s.path("users.txt")), 0o644)
	args := s.as("pgbouncer", ini)
	log, err := os.OpenFile(s.path("bouncer.log"), os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(s.path("bouncer.log"))
			t.Logf("log of pgbouncer:\n%s", text)
		}
	})
	waitPort(t, port)
	return port
}

// Through a pooler that hands each transaction to another connection, all
// means the same as without.
func TestSQLPgBouncer(t *testing.T) {
	s := startSQL(t, "pgsql")
	s.fill()
	hosts := []string{fmt.Sprintf("127.0.0.1:%d", startBouncer(t, s))}
	w := openSQL(t, s, func(c *sqldb.DatabaseConfig) { c.Hosts, c.PgBouncer = hosts, true })
	testSQLPassdb(t, w)
	testSQLUserdb(t, w)
	testSQLHostile(t, w)
	testSQLUpdate(t, w)
	testSQLConcurrent(t, w)

	// Without that setting, a statement that another client has prepared is
	// in the way. The text says what to do.
	other := adminQueries()
	other.PasswordQuery += " AND 1 = 1"
	told := false
	for i := range 100 {
		w := openSQL(t, s, func(c *sqldb.DatabaseConfig) { c.Hosts = hosts })
		got := stored(w.passdb([]sqldb.QueryConfig{adminQueries(), other}[i%2]), "alice@example.org")
		told = told || strings.Contains(got, "set pgbouncer")
		w.dbs.Close()
	}
	if !told {
		t.Error("nobody says that pgbouncer should be set")
	}
}
