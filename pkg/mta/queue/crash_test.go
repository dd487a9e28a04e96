package queue

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// outside is the world beyond the queue: what has been delivered to whom. It
// survives crashes.
type outside struct {
	mu       sync.Mutex
	accepted map[string]bool // recipients whose message was acknowledged
	got      map[string]int  // deliveries by recipient
	told     map[string]int  // recipients named in notifications that arrived
}

// deliver does what the recipient's name says: "ok-3" gets it, "no-4" is
// refused, "late-5" gets it at the third attempt.
func (o *outside) deliver(_ context.Context, job *Job) Outcome {
	var out Outcome
	for i, r := range job.Recipients {
		res := delivered()
		switch kind, _, _ := strings.Cut(r.Addr.Local, "-"); {
		case kind == "no":
			res = refused("550 no")
		case kind == "late" && job.States[i].Attempts < 2:
			res = deferred("450 later")
		}
		out.Results = append(out.Results, res)
	}
	c, err := job.Open()
	if err != nil {
		return Outcome{}
	}
	defer c.Close()
	text, err := io.ReadAll(c.Reader())
	if err != nil {
		return Outcome{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, r := range job.Recipients {
		if out.Results[i].Status != Delivered {
			continue
		}
		o.got[r.Addr.Local]++
		if !job.Envelope.Sender.Null() {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if name, _, ok := strings.Cut(word, "@x.example"); ok {
				o.told[name]++
			}
		}
	}
	return out
}

// life submits some messages and runs the queue for a while, until the disk
// crashes or the work is done.
func (o *outside) life(w *world, n int, crash func()) {
	w.deliver = o.deliver
	w.open(func(s *Settings) {
		s.SegmentSize, s.MinBackoff, s.SyncInterval = 64<<10, conf.Duration(time.Minute), conf.Duration(time.Second)
	})
	crash()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.q.Run(ctx, Consumers{w, w, w, w}, time.Second) }()
	for i := range n {
		names := []string{fmt.Sprintf("ok-%d", i), fmt.Sprintf("no-%d", i), fmt.Sprintf("late-%d", i)}[:1+i%3]
		env := to()
		for _, name := range names {
			env.Recipients = append(env.Recipients, Recipient{Addr: mustParse(name + "@x.example")})
		}
		if w.trySubmit(env, 200+i*700) == nil {
			o.mu.Lock()
			for _, name := range names {
				o.accepted[name] = true
			}
			o.mu.Unlock()
		}
		if i%4 == 3 {
			time.Sleep(time.Second)
		}
	}
	time.Sleep(6 * time.Hour) // the distance between attempts is the age
	synctest.Wait()
	cancel()
	<-done
	_ = w.q.Close()
}

func (w *world) trySubmit(env *Envelope, size int) error {
	m, err := w.q.Begin(context.Background(), 0)
	if err != nil {
		return err
	}
	defer m.Abort()
	if _, err := io.WriteString(m, strings.Repeat("text\r\n", size/6)); err != nil {
		return err
	}
	return m.Commit(context.Background(), env)
}

// What was acknowledged arrives, or its sender hears why not, whenever the
// power fails; and a failure is not reported without end. One crash can repeat
// a delivery whose end was not on disk yet, and a notification whose original
// was not marked yet. Both at once make three: a notification arrives, is
// delivered again after the crash, and a second one is made for the original.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for n := 20; ; n += 23 {
		over := false
		synctest.Test(t, func(t *testing.T) {
			fsys := disk.NewForgetful()
			o := &outside{accepted: map[string]bool{}, got: map[string]int{}, told: map[string]int{}}
			w := &world{t: t, fsys: fsys}
			o.life(w, 14, func() { fsys.CrashAfter(n) })
			over = !fsys.Crashed()
			after := fsys.CrashRandom(uint64(n))
			w = &world{t: t, fsys: after}
			o.life(w, 0, func() {})
			for name := range o.accepted {
				kind, _, _ := strings.Cut(name, "-")
				got, told := o.got[name], o.told[name]
				if kind == "no" && (got != 0 || told < 1 || told > 3) || kind != "no" && (got < 1 || got > 2 || told != 0) {
					t.Errorf("crash before change %d: %s was delivered %d times, reported %d times", n, name, got, told)
				}
			}
		})
		if over {
			return
		}
	}
}

// The original goes only after its notification is durable.
func TestDieAroundTheNotification(t *testing.T) {
	for _, point := range []string{"queue.bounce.committed", "queue.bounce.committed:2", "queue.removed", "queue.removed:2", "queue.recipient.done"} {
		synctest.Test(t, func(t *testing.T) {
			fsys := disk.NewForgetful()
			fsys.CrashAt(point)
			o := &outside{accepted: map[string]bool{}, got: map[string]int{}, told: map[string]int{}}
			w := &world{t: t, fsys: fsys}
			o.life(w, 6, func() {})
			if !fsys.Crashed() {
				t.Fatalf("%s was not passed", point)
			}
			w = &world{t: t, fsys: fsys.Crash()}
			o.life(w, 0, func() {})
			for name := range o.accepted {
				if strings.HasPrefix(name, "no-") && (o.told[name] < 1 || o.told[name] > 3) { // see above
					t.Errorf("%s: %s was reported %d times", point, name, o.told[name])
				}
			}
		})
	}
}
