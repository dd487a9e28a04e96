package passwdfile

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := disk.WriteFile(disk.OS(), path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	loads := 0
	f := Open(path, func(*Snapshot) { loads++ })
	check := func(what, user string, want fail.Kind, found bool) {
		t.Helper()
		_, err := f.Lookup(user)
		if found != (err == nil) || (err != nil && fail.KindOf(err) != want) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("no file yet", "alice", fail.Unavailable, false)
	write(t, path, "alice:x\n")
	check("made", "alice", 0, true)
	check("again", "alice", 0, true)
	if loads != 1 {
		t.Fatalf("an unchanged file was read %d times", loads)
	}
	write(t, path, "bobby:x\n") // the same size
	check("replaced", "alice", fail.NotFound, false)
	check("replaced", "bobby", 0, true)
	if err := os.WriteFile(path, []byte("carol:x\nbobby:x\n"), 0o600); err != nil { // in place
		t.Fatal(err)
	}
	check("edited in place", "carol", 0, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	check("gone: old users do not live on, and are not unknown", "bobby", fail.Unavailable, false)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	check("not a file", "bobby", fail.Unavailable, false)
}

const before = `# accounts of example.org
alice@example.org:{PLAIN}old:1000:1000:Alice A.:/home/alice:/bin/sh:userdb_mail=maildir:~/M

# guests
bob@example.org:{PLAIN}x   
BOB@example.org:{PLAIN}y
junk without meaning
carol:{PLAIN}z`

func edit(t *testing.T, path string, change func(*Editor) error) error {
	t.Helper()
	return Edit(t.Context(), path, change)
}

func TestEdit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(before), 0o604); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	err := edit(t, path, func(e *Editor) error {
		if err := e.SetPassword("ALICE@example.org", "{PLAIN}new"); err != nil {
			return err
		}
		if err := e.Delete("bob@example.org"); err != nil {
			return err
		}
		return e.Add(Entry{Name: "Dave@example.org", Password: "{PLAIN}d", UID: -1, GID: 7, Userdb: []account.Field{{Key: "quota_rule", Value: "*:bytes=1G"}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(path)
	want := `# accounts of example.org
alice@example.org:{PLAIN}new:1000:1000:Alice A.:/home/alice:/bin/sh:userdb_mail=maildir:~/M

# guests
junk without meaning
carol:{PLAIN}z
dave@example.org:{PLAIN}d::7::::userdb_quota_rule=*:bytes=1G
`
	if string(got) != want {
		t.Fatalf("got:\n%s", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o604 {
		t.Errorf("mode became %o", info.Mode().Perm())
	}
}

func TestEditRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write(t, path, before)
	for name, tc := range map[string]struct {
		change func(*Editor) error
		kind   fail.Kind
	}{
		"add twice":           {func(e *Editor) error { return e.Add(Entry{Name: "Carol", UID: -1, GID: -1}) }, fail.Exists},
		"add root":            {func(e *Editor) error { return e.Add(Entry{Name: "x", UID: 0, GID: -1}) }, fail.Invalid},
		"add bad name":        {func(e *Editor) error { return e.Add(Entry{Name: "x:y", UID: -1, GID: -1}) }, fail.Invalid},
		"add comment":         {func(e *Editor) error { return e.Add(Entry{Name: "#x", UID: -1, GID: -1}) }, fail.Invalid},
		"add two lines":       {func(e *Editor) error { return e.Add(Entry{Name: "x", Password: "a\nroot:b", UID: -1, GID: -1}) }, fail.Invalid},
		"add relative home":   {func(e *Editor) error { return e.Add(Entry{Name: "x", Home: "h", UID: -1, GID: -1}) }, fail.Invalid},
		"delete nobody":       {func(e *Editor) error { return e.Delete("nobody") }, fail.NotFound},
		"password of nobody":  {func(e *Editor) error { return e.SetPassword("nobody", "{PLAIN}x") }, fail.NotFound},
		"password with colon": {func(e *Editor) error { return e.SetPassword("carol", "{PLAIN}a:b") }, fail.Invalid},
	} {
		if err := edit(t, path, tc.change); !fail.Is(err, tc.kind) {
			t.Errorf("%s: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != before {
			t.Fatalf("%s changed the file", name)
		}
	}
}

// Editors that run at the same time wait for each other; readers never see a
// state between.
func TestEditorsExcludeEachOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	f := Open(path, nil)
	if err := edit(t, path, func(e *Editor) error { return e.Add(Entry{Name: "first", UID: -1, GID: -1}) }); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	watched := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				watched <- nil
				return
			default:
			}
			if _, err := f.Lookup("first"); err != nil {
				watched <- err
				return
			}
		}
	}()
	for i := range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			name := fmt.Sprintf("user%d", i)
			if err := edit(t, path, func(e *Editor) error { return e.Add(Entry{Name: name, UID: -1, GID: -1}) }); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	close(stop)
	if err := <-watched; err != nil {
		t.Errorf("a reader saw a state between: %v", err)
	}
	s, err := f.Get()
	if err != nil || len(s.Entries()) != 11 {
		t.Fatalf("%v: %d users", err, len(s.Entries()))
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left behind: %s", strings.Join(left, " "))
	}
}

func TestLockCanBeGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	err := edit(t, path, func(*Editor) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return Edit(ctx, path, func(*Editor) error { return nil })
	})
	if err == nil {
		t.Fatal("two editors at the same time")
	}
}
