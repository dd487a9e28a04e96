package whole

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/bench/load"
	"github.com/postcote/postcote/test/suite"
)

// soakMessages is how many messages go through all daemons; SOAK_MESSAGES is
// another number.
func soakMessages() int {
	if n, err := strconv.Atoi(os.Getenv("SOAK_MESSAGES")); err == nil {
		return n
	}
	return 600
}

const (
	soakRound    = 100 // messages for each of the two users
	soakSessions = 4

	// What may be more in the end than when the processes had just started. A
	// leak at each message, or in each session, is more than that.
	moreGoroutines  = 48 // a crew of 16 rests at each listener
	moreDescriptors = 16
	// What may be more than after a fifth of the messages: memory that is kept for
	// what comes next, segments of the queue that are kept for use.
	moreMemory = 48 << 20
	moreDisk   = 80 << 20
	moreFiles  = 60
)

// Messages go from SMTP to the mailboxes of two users, one of whom fetches and
// deletes them by IMAP, the other one by POP3. When all are gone goroutines, open
// files, memory and disk are as they were.
func TestSoak(t *testing.T) {
	s := start(t, suite.Options{})
	first := map[string]upkeep{}
	for _, name := range suite.Names {
		first[name] = upkeepOf(t, s.Procs[name])
	}
	messages := soakMessages()
	rounds := max(messages/(2*soakRound), 2)
	early := map[string]upkeep{}
	var disk, files int64
	for r := range rounds {
		soak(t, s)
		if r == (rounds-1)/5 {
			rest(t, s, first)
			for _, name := range suite.Names {
				early[name] = upkeepOf(t, s.Procs[name])
			}
			disk, files = used(t, s)
			t.Logf("after %d messages: %v, %d files of %d KiB", (r+1)*2*soakRound, early, files, disk>>10)
		}
	}
	rest(t, s, first)
	nowDisk, nowFiles := used(t, s)
	late := map[string]upkeep{}
	for _, name := range suite.Names {
		late[name] = upkeepOf(t, s.Procs[name])
		if more := late[name].memory - early[name].memory; more > moreMemory {
			t.Errorf("%s: %d KiB more than after a fifth of the messages", name, more>>10)
		}
	}
	t.Logf("after %d messages: %v, %d files of %d KiB", rounds*2*soakRound, late, nowFiles, nowDisk>>10)
	if nowDisk-disk > moreDisk || nowFiles-files > moreFiles {
		t.Errorf("%d files of %d KiB are %d of %d", files, disk>>10, nowFiles, nowDisk>>10)
	}
}

// upkeep is what a process needs.
type upkeep struct {
	Goroutines  int
	Descriptors int
	memory      int64
}

func (u upkeep) String() string {
	return fmt.Sprintf("%d goroutines, %d files, %d KiB", u.Goroutines, u.Descriptors, u.memory>>10)
}

func upkeepOf(t *testing.T, p *suite.Process) (u upkeep) {
	t.Helper()
	out, err := exec.Command(p.Binary(), "status", "-c", p.Config(), "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &u)
	}
	if err != nil {
		t.Fatalf("status of %s: %v %s", p.Name, err, out)
	}
	u.memory = private(t, p.PID())
	return u
}

// private is the memory that a process has for itself.
func private(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "Private_Clean: %d kB", &kib); err == nil {
			sum += kib << 10
		}
		if _, err := fmt.Sscanf(line, "Private_Dirty: %d kB", &kib); err == nil {
			sum += kib << 10
		}
	}
	return sum
}

// rest waits until no process has more to do than when it had started. What is
// kept for a while, such as a connection to the next daemon, or the file of an
// expunged message, is let go by itself.
func rest(t *testing.T, s *suite.Suite, first map[string]upkeep) {
	t.Helper()
	eventually(t, "the files of expunged messages are gone", func() bool {
		left, _ := filepath.Glob(s.Path("mail", suite.Domain, "*", "Maildir", "[nc]*", "*.M*"))
		return len(left) == 0
	})
	for _, name := range suite.Names {
		var now upkeep
		for deadline := time.Now().Add(patience); ; time.Sleep(300 * time.Millisecond) {
			now = upkeepOf(t, s.Procs[name])
			if now.Goroutines <= first[name].Goroutines+moreGoroutines && now.Descriptors <= first[name].Descriptors+moreDescriptors {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s had %v at first, and has %v", name, first[name], now)
			}
		}
	}
}

// used is what all folders but that of the logs take: bytes and files.
func used(t *testing.T, s *suite.Suite) (bytes, files int64) {
	t.Helper()
	err := filepath.WalkDir(s.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a temporary file that is gone
		}
		if d.IsDir() && path == s.Path("log") {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
			files++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes, files
}

// soak sends a round of messages, and both users take theirs.
func soak(t *testing.T, s *suite.Suite) {
	t.Helper()
	alice, bob := s.Accounts[0], s.Accounts[1]
	clients := make([]*load.SMTP, soakSessions)
	for i := range clients {
		c, err := load.DialSMTP(s.Addr(25), false)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients[i] = c
	}
	body := load.Stuffed([]byte(numberedText(1, 2<<10)))
	if _, err := load.Crowd(t.Context(), soakSessions, 2*soakRound, func(w, i int) error {
		return clients[w].Send("x@elsewhere.test", []string{s.Accounts[i%2].Name}, body)
	}); err != nil {
		t.Fatal(err)
	}
	takeByIMAP(t, s, alice)
	takeByPOP3(t, s, bob)
}

func takeByIMAP(t *testing.T, s *suite.Suite, a suite.Account) {
	t.Helper()
	c, err := load.LoginIMAP(s.Addr(143), load.Options{}, a.Name, a.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ask := func(command string) {
		t.Helper()
		if err := c.Command("%s", command); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	ask("SELECT INBOX")
	eventually(t, "all messages are in "+a.Name+"'s INBOX", func() bool {
		ask("NOOP")
		return c.Exists >= soakRound
	})
	if c.Exists != soakRound {
		t.Fatalf("%s has %d messages", a.Name, c.Exists)
	}
	for _, command := range []string{"FETCH 1:* (FLAGS ENVELOPE BODY[])", `STORE 1:* +FLAGS.SILENT (\Deleted)`, "EXPUNGE", "LOGOUT"} {
		ask(command)
	}
}

func takeByPOP3(t *testing.T, s *suite.Suite, a suite.Account) {
	t.Helper()
	var c *load.POP3
	eventually(t, "all messages are in "+a.Name+"'s maildrop", func() bool {
		var err error
		if c, err = load.LoginPOP3(s.Addr(110), load.Options{}, a.Name, a.Password); err != nil {
			t.Fatal(err)
		}
		n, err := c.List("UIDL")
		if err != nil {
			t.Fatal(err)
		}
		if n < soakRound {
			_ = c.Quit()
		}
		return n >= soakRound
	})
	defer c.Close()
	if err := c.Retrieve(soakRound, 10); err != nil {
		t.Fatal(err)
	}
	for i := range soakRound {
		if err := c.Command("DELE %d", i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}
