package slots

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/waits"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// gate is a hash that runs until it is let go, and tells its thread's priority.
type gate struct {
	begun chan string
	open  chan struct{}
	turns atomic.Uint64
}

func newGate() *gate { return &gate{begun: make(chan string, 100), open: make(chan struct{})} }

func (g *gate) Scheme() string { return "GATE" }

func (g *gate) Verify(_ *scheme.Workspace, password string) bool {
	g.begun <- threadNice()
	for { // burns its core, as a hash does
		select {
		case <-g.open:
			return password == "right"
		default:
			g.turns.Add(1)
		}
	}
}

type quick struct{ panics bool }

func (quick) Scheme() string { return "QUICK" }

func (q quick) Verify(_ *scheme.Workspace, password string) bool {
	if q.panics {
		panic("broken hash")
	}
	return password == "right"
}

// threadNice is field 19 of /proc/thread-self/stat, see proc_pid_stat(5).
func threadNice() string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", unix.Gettid()))
	if err != nil {
		return err.Error()
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	return strings.Fields(rest)[16]
}

// While every slot burns its core, no more hashes run than there are slots,
// they run on threads of low priority, and other goroutines keep going on
// threads of normal priority.
func TestHashesDoNotStarveCheapWork(t *testing.T) {
	const n = 3
	p := New(n, 10)
	defer p.Close()
	g := newGate()
	results := make(chan bool, n+2)
	for range n + 2 {
		go func() {
			ok, err := p.Verify(t.Context(), g, "right")
			results <- ok && err == nil
		}()
	}
	for range n {
		if nice := <-g.begun; nice != fmt.Sprint(Nice) {
			t.Errorf("a slot's thread has nice %s, want %d", nice, Nice)
		}
	}
	if !p.Niced() {
		t.Error("Niced is wrong")
	}
	ping, pong := make(chan string), make(chan string)
	go func() {
		for range ping {
			pong <- threadNice()
		}
	}()
	for range 1000 {
		ping <- ""
		if nice := <-pong; nice == fmt.Sprint(Nice) {
			t.Fatal("other work runs on a slot's thread")
		}
	}
	close(ping)
	if p.Busy() != n || len(g.begun) != 0 {
		t.Errorf("%d slots are busy, %d more hashes began", p.Busy(), len(g.begun))
	}
	close(g.open)
	for range n + 2 {
		if !<-results {
			t.Error("a verdict is wrong")
		}
	}
}

func TestVerdicts(t *testing.T) {
	p := New(1, 1)
	defer p.Close()
	for _, tc := range []struct {
		h        scheme.Hash
		password string
		want     bool
	}{{quick{}, "right", true}, {quick{}, "wrong", false}, {quick{panics: true}, "right", false}, {quick{}, "right", true}} {
		if got, err := p.Verify(t.Context(), tc.h, tc.password); got != tc.want || err != nil {
			t.Errorf("%+v: %v %v", tc, got, err)
		}
	}
}

// A full queue, a caller that left and a stop are all "try later", and what
// nobody waits for is not computed.
func TestQueue(t *testing.T) {
	p := New(1, 1)
	g := newGate()
	first := make(chan error, 1)
	go func() {
		_, err := p.Verify(t.Context(), g, "right")
		first <- err
	}()
	<-g.begun
	ctx, leave := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := p.Verify(ctx, g, "right")
		second <- err
	}()
	for p.Waiting() != 1 {
		continue
	}
	if _, err := p.Verify(t.Context(), quick{}, "right"); !fail.Is(err, fail.Unavailable) {
		t.Errorf("full queue: %v", err)
	}
	leave()
	if err := <-second; !fail.Is(err, fail.Unavailable) {
		t.Errorf("caller left: %v", err)
	}
	close(g.open)
	if err := <-first; err != nil {
		t.Error(err)
	}
	for p.Waiting() != 0 {
		continue
	}
	if _, err := p.Verify(t.Context(), quick{}, "right"); err != nil {
		t.Errorf("the dropped request still holds the slot: %v", err)
	}
	if len(g.begun) != 0 {
		t.Error("a dropped hash was computed")
	}
	p.Close()
	p.Close()
	if _, err := p.Verify(t.Context(), quick{}, "right"); !fail.Is(err, fail.Unavailable) {
		t.Errorf("after the end: %v", err)
	}
}

func TestDefault(t *testing.T) {
	for cores, want := range map[int]int{1: 1, 2: 1, 4: 3, 64: 63} {
		if got := Default(cores); got != want {
			t.Errorf("%d cores: %d slots", cores, got)
		}
	}
	if Processors(2, 1) != 3 {
		t.Error("every slot needs a processor of its own")
	}
}

// A check that takes a slot gives notice of it; a cheap one needs neither.
func TestNotice(t *testing.T) {
	p := New(1, 1)
	p.Close() // whoever needs a slot gets none
	policy := scheme.Policy{Allow: []string{"PLAIN"}}
	for stored, wait := range map[string]bool{"{PLAIN}secret": false, "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/": true} {
		h, err := scheme.Parse(stored, policy)
		if err != nil {
			t.Fatal(err)
		}
		noticed := false
		ok, err := p.Verify(waits.With(t.Context(), func() { noticed = true }), h, "secret")
		if noticed != wait || ok == wait || (err != nil) != wait {
			t.Errorf("%.10s…: notice %v, verdict %v %v", stored, noticed, ok, err)
		}
	}
	for kind, wait := range map[sasl.SecretKind]bool{sasl.SecretSCRAMSHA256: true, sasl.SecretSCRAMSHA1: true, sasl.SecretCRAMMD5: false} {
		d, err := scheme.Derive("{PLAIN}secret", kind, "bob", "", policy)
		if err != nil {
			t.Fatal(err)
		}
		noticed := false
		_, err = p.Verify(waits.With(t.Context(), func() { noticed = true }), d, "")
		if noticed != wait || (err != nil) != wait {
			t.Errorf("%s: notice %v, %v", kind, noticed, err)
		}
	}
}
