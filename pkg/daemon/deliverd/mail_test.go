package deliverd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Details lead into folders of the nested layout, which deliverd and imapd
// must be told alike.
func TestNestedLayout(t *testing.T) {
	b := newBench(t, nil, func(c *Config) { c.Mail.Layout, c.SaveToDetail = "fs", true })
	root := filepath.Join(b.dir.root, "alice", "Maildir")
	tree := maildir.NewTree(disk.OS(), root, maildir.Options{Layout: maildir.Nested})
	if err := tree.Create(t.Context(), "Work/2026.Q1"); err != nil {
		t.Fatal(err)
	}
	if err := send(t, b.dial(t), letterText, "alice+Work/2026.Q1@example.org")["alice+Work/2026.Q1@example.org"]; err != nil {
		t.Fatal(err)
	}
	if files, _ := filepath.Glob(filepath.Join(root, "Work", "2026.Q1", "new", "*")); len(files) != 1 {
		t.Errorf("files %v", files)
	}
}

// farAway is a network file system.
type farAway struct{ disk.FS }

func (f farAway) Statfs(string) (disk.Space, error) {
	return disk.Space{FSType: "nfs", Network: true}, nil
}

func (f farAway) Chtimes(name string, mtime time.Time) error {
	return disk.Chtimes(f.FS, name, mtime)
}

// Mail on a network file system is put off, and at the start the daemon says
// why; unless the configuration says that nobody else writes there.
func TestNetworkFileSystem(t *testing.T) {
	b := newBench(t, farAway{disk.OS()}, nil)
	err := send(t, b.dial(t), letterText, "alice@example.org")["alice@example.org"]
	if err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("%v, want 451", err)
	}
	cfg := Default()
	cfg.Mail.Root = "/var/mail"
	log, _ := obs.Capture()
	rt := &service.Runtime{Name: "deliverd", Log: log, Metrics: obs.NopMetrics(), FS: farAway{disk.OS()}}
	if err := Run(t.Context(), rt, &cfg); !fail.Is(err, fail.Denied) {
		t.Errorf("start: %v, want denied", err)
	}
	b = newBench(t, farAway{disk.OS()}, func(c *Config) { c.Mail.Pinned = true })
	if err := send(t, b.dial(t), letterText, "alice@example.org")["alice@example.org"]; err != nil {
		t.Errorf("pinned: %v", err)
	}
}
