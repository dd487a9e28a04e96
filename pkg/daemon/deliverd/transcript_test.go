package deliverd

import (
	"context"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
	"github.com/postcote/postcote/pkg/proto/smtp/wire/transcript"
)

// Options: "userdb down"; "size N" sets the message size limit; "quota RULE"
// limits everybody, with "grace N%", "tempfail yes", "rcpt check" and "mail N"
// (largest message); "fault OP ERROR" makes every such disk operation fail.
func TestTranscripts(t *testing.T) {
	transcript.Dir(t, "testdata", func(t *testing.T, options map[string]string) transcript.Peer {
		faulty := disk.NewFaulty(disk.OS())
		b := newBench(t, faulty, func(c *Config) {
			n, _ := strconv.Atoi(options["size"])
			c.MessageSize = conf.Size(n)
			c.Quota.Rules, c.Quota.Grace = strings.Fields(options["quota"]), options["grace"]
			c.Quota.FullTempfail, c.Quota.CheckRcpt = options["tempfail"] == "yes", options["rcpt"] == "check"
			n, _ = strconv.Atoi(options["mail"])
			c.Quota.MaxMailSize = conf.Size(n)
		})
		if options["userdb"] == "down" {
			b.dir.err = fail.New(fail.Unavailable, "authd is down")
		}
		if op, name, ok := strings.Cut(options["fault"], " "); ok {
			err := map[string]error{"ENOSPC": syscall.ENOSPC, "EIO": syscall.EIO}[name]
			faulty.Add(disk.Fault{Op: disk.Op(op), Err: err, Forever: true})
			t.Cleanup(func() {
				left, _ := filepath.Glob(filepath.Join(b.dir.root, "*", "Maildir", "*", "*M*"))
				spooled, _ := filepath.Glob(filepath.Join(b.a.cfg.Load().TempDir, "*"))
				if len(left)+len(spooled) > 0 || faulty.Hits() == 0 {
					t.Errorf("left behind: %v %v; faults: %d", left, spooled, faulty.Hits())
				}
			})
		}
		return transcript.Peer{Conn: b.connect(t)}
	})
}

// connect serves one connection under a fixed session id and returns the
// client's end.
func (b *bench) connect(t testing.TB) net.Conn {
	t.Helper()
	cfg := b.a.engineConfig(b.a.cfg.Load())
	cfg.NewID = func() string { return "Z7CwEHtHBGu5TgAAg+zDdQ" }
	engine, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "lmtp"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		engine.Serve(context.Background(), conn)
	}()
	t.Cleanup(func() {
		client.Close()
		<-done
	})
	return client
}
