package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// listen serves each connection with handle until the test ends.
func listen(t *testing.T, handle func(net.Conn)) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

func silent(c net.Conn) { _, _ = c.Read(make([]byte, 1<<20)); _, _ = c.Read(make([]byte, 1)) }

// Servers that are none. Whatever comes, a request ends within its time and
// is an outage.
func TestHostileServers(t *testing.T) {
	garbage := make([]byte, 64<<10)
	for i := range garbage {
		garbage[i] = byte(i*7 + i>>8)
	}
	say := func(b string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Write([]byte(b))
			silent(c)
		}
	}
	greeting := "\x0a10.11.4\x00\x01\x00\x00\x0012345678\x00\xff\xf7\x21\x02\x00\xff\x81\x15" + strings.Repeat("\x00", 10) + "123456789012\x00mysql_native_password\x00"
	for name, handle := range map[string]func(net.Conn){
		"silent":               silent,
		"closes":               func(net.Conn) {},
		"garbage":              say(string(garbage)),
		"banner of SMTP":       say("220 mail.example.org ESMTP\r\n"),
		"huge message":         say("R\x7f\xff\xff\xff\x00\x00\x00\x00"),
		"login, then garbage":  say("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I" + string(garbage)),
		"greeting":             say(fmt.Sprintf("%c\x00\x00\x00%s", len(greeting), greeting)),
		"greeting, then close": func(c net.Conn) { fmt.Fprintf(c, "%c\x00\x00\x00%s", len(greeting), greeting) },
		"greeting, garbage":    say(fmt.Sprintf("%c\x00\x00\x00%s%s", len(greeting), greeting, garbage)),
		"error":                say("\x17\x00\x00\x00\xff\x10\x04#08004Too many conn"),
	} {
		addr := listen(t, handle)
		for _, driver := range []string{PgSQL, MySQL} {
			p, err := Open(Config{
				Driver: driver, Hosts: []string{addr}, DBName: "d", User: "u",
				ConnectTimeout: short(100 * time.Millisecond), QueryTimeout: short(100 * time.Millisecond),
			}.WithPassword("hunter2"), Options{Name: "mail"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Rows(context.Background(), NewStatement("SELECT 1", 0), nil, 1)
			if !fail.Is(err, fail.Unavailable) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s, %s: %v", name, driver, err)
			}
			p.Close()
		}
	}
}

// pgServer is a PostgreSQL server of one table: it answers with the first
// parameter, and does what a test says before.
type pgServer struct {
	mu       sync.Mutex
	before   func(b *pgproto3.Backend, param string) (done bool)
	prepares int
}

func (s *pgServer) set(before func(b *pgproto3.Backend, param string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

func (s *pgServer) serve(c net.Conn) {
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if b.Flush() != nil {
		return
	}
	param := ""
	for {
		m, err := b.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *pgproto3.Parse:
			s.mu.Lock()
			s.prepares++
			s.mu.Unlock()
			b.Send(&pgproto3.ParseComplete{})
		case *pgproto3.Describe:
			if m.ObjectType == 'S' {
				b.Send(&pgproto3.ParameterDescription{ParameterOIDs: []uint32{25}})
			}
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("v"), DataTypeOID: 25}}})
		case *pgproto3.Bind:
			param = string(m.Parameters[0])
			b.Send(&pgproto3.BindComplete{})
		case *pgproto3.Execute:
			s.mu.Lock()
			before := s.before
			s.mu.Unlock()
			if before != nil && before(b, param) {
				return
			}
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(param)}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
		case *pgproto3.Sync:
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			if b.Flush() != nil {
				return
			}
		default:
			return
		}
	}
}

// A cancelled query never leaves its answer to the next one, and half an
// answer is none.
func TestNobodyGetsAnotherOnesAnswer(t *testing.T) {
	s := &pgServer{}
	addr := listen(t, s.serve)
	p, err := Open(Config{Driver: PgSQL, Hosts: []string{addr}, DBName: "d", User: "u", PoolSize: 4}, Options{Name: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	st := NewStatement("SELECT $1 AS v", 1)
	ask := func(ctx context.Context, v string) (string, error) {
		rows, err := p.Rows(ctx, st, []string{v}, 2)
		if err != nil {
			return "", err
		}
		return rows[0].Values[0].Text, nil
	}
	var wg sync.WaitGroup
	for who := range 8 {
		wg.Go(func() {
			for i := range 100 {
				v := fmt.Sprintf("%d-%d", who, i)
				ctx, cancel := context.WithCancel(context.Background())
				if i%3 == 0 {
					go cancel()
				}
				got, err := ask(ctx, v)
				cancel()
				if (err == nil && got != v) || (err != nil && !errors.Is(err, context.Canceled)) {
					t.Errorf("asked %s, got %s %v", v, got, err)
				}
			}
		})
	}
	wg.Wait()

	s.set(func(b *pgproto3.Backend, _ string) bool {
		b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("half an ans")}})
		_ = b.Flush()
		return true
	})
	if got, err := ask(context.Background(), "x"); !fail.Is(err, fail.Unavailable) {
		t.Errorf("half an answer was taken for one: %q %v", got, err)
	}
}

func TestPgSQLKeepsStatements(t *testing.T) {
	for _, bouncer := range []bool{false, true} {
		s := &pgServer{}
		addr := listen(t, s.serve)
		p, err := Open(Config{Driver: PgSQL, Hosts: []string{addr}, DBName: "d", User: "u", PgBouncer: bouncer}, Options{Name: "mail"})
		if err != nil {
			t.Fatal(err)
		}
		st := NewStatement("SELECT $1 AS v", 1)
		for range 10 {
			if _, err := p.Rows(context.Background(), st, []string{"x"}, 1); err != nil {
				t.Fatal(err)
			}
		}
		want := map[bool]int{false: 1, true: 10}[bouncer]
		if s.prepares != want {
			t.Errorf("pgbouncer %v: %d times parsed, want %d", bouncer, s.prepares, want)
		}
		p.Close()
	}
}

// The verdicts on what PostgreSQL says.
func TestPgSQLErrors(t *testing.T) {
	for _, tc := range []struct{ code, routine, want string }{
		{"42P01", "", "answered"},
		{"57P01", "", "lost"},
		{"53300", "", "lost"},
		{"08006", "", "lost"},
		{"08P01", "", "answered"},
		{"25006", "", "elsewhere"},
		{"26000", "", "stale"},
		{"0A000", "RevalidateCachedQuery", "stale"},
		{"0A000", "other", "answered"},
	} {
		s := &pgServer{}
		s.set(func(b *pgproto3.Backend, _ string) bool {
			b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: tc.code, Routine: tc.routine, Message: "quotes 'secret'"})
			return false
		})
		p, err := Open(Config{Driver: PgSQL, Hosts: []string{listen(t, s.serve)}, DBName: "d", User: "u"}, Options{Name: "mail"})
		if err != nil {
			t.Fatal(err)
		}
		conn, err := p.driver.connect(context.Background(), p.hosts[0].addr)
		if err != nil {
			t.Fatal(err)
		}
		err = conn.query(context.Background(), NewStatement("SELECT $1 AS v", 1), []string{"x"}, func(Row) bool { return true })
		names := map[verdict]string{answered: "answered", stale: "stale", elsewhere: "elsewhere", lost: "lost"}
		if got := names[p.driver.judge(err)]; got != tc.want {
			t.Errorf("%s %s: %s, want %s (%v)", tc.code, tc.routine, got, tc.want, err)
		}
		if public := p.driver.public(err); strings.Contains(public, "secret") != strings.HasPrefix(tc.code, "42") && !strings.HasPrefix(tc.code, "08") && !strings.HasPrefix(tc.code, "25") {
			t.Errorf("%s: %s", tc.code, public)
		}
		conn.close()
		p.Close()
	}
}
