package mtad

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/dnsx"
)

// hand submits a message for joe and returns the first reply that is no
// success, or that to the message.
func hand(t *testing.T, w *world, mark string, size int) string {
	t.Helper()
	c := w.connect("submit")
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	reply := func() string {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%s: %v", mark, err)
		}
		return strings.TrimSpace(line)
	}
	text := "Subject: " + mark + "\r\n\r\n" + strings.Repeat("line\r\n", size/6) + "."
	last := reply()
	for _, line := range []string{"HELO x", "MAIL FROM:<ann@ours.example>", "RCPT TO:<joe@ours.example>", "DATA", text} {
		if _, err := c.Write([]byte(line + "\r\n")); err != nil {
			t.Fatalf("%s: %v", mark, err)
		}
		if last = reply(); last[0] != '2' && last[0] != '3' {
			return last
		}
	}
	return last
}

// arrivals are the marks of the messages that joe has, with their number.
func arrivals(w *world) map[string]int {
	got := map[string]int{}
	for _, m := range w.lmtp.messages("joe@ours.example") {
		_, rest, _ := strings.Cut(m.text, "Subject: ")
		mark, _, _ := strings.Cut(rest, "\r\n")
		got[mark]++
	}
	return got
}

// One operation of the disk fails while a message is taken, each in turn: the
// client hears that it is to come back, or the message is kept; what was
// refused is never delivered; and the next message is taken without anybody's
// help. At last the machine is started anew, and nothing changes.
func TestDiskFailsOnce(t *testing.T) {
	for _, f := range []struct {
		op  disk.Op
		err syscall.Errno
	}{
		{disk.OpWrite, syscall.ENOSPC},
		{disk.OpWrite, syscall.EIO},
		{disk.OpSync, syscall.EIO},
		{disk.OpSync, syscall.EDQUOT},
		{disk.OpCreate, syscall.EROFS},
		{disk.OpSyncDir, syscall.EIO},
	} {
		t.Run(fmt.Sprintf("%s %s", f.op, f.err), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Queue.LargeMessage = 4 << 10
			w.start()
			kept, refused := map[string]bool{}, map[string]bool{}
			note := func(mark, reply string) {
				switch reply[0] {
				case '2':
					kept[mark] = true
				case '4':
					refused[mark] = true
				default:
					t.Errorf("%s: %s", mark, reply)
				}
			}
			for _, size := range []int{100, 20 << 10} {
				for n := 1; n < 40; n++ {
					w.disk.Clear()
					w.disk.Add(disk.Fault{Op: f.op, Nth: n, Err: f.err, Short: n%2 == 0})
					mark := fmt.Sprintf("fault-%d-%d", size, n)
					note(mark, hand(t, w, mark, size))
					hit := w.disk.Hits() > 0
					w.disk.Clear()
					if reply := hand(t, w, mark+"-after", size); reply[0] != '2' {
						t.Errorf("after %s number %d failed: %s", f.op, n, reply)
					}
					kept[mark+"-after"] = true
					if !hit {
						break
					}
				}
			}
			if len(refused) == 0 {
				t.Error("no failure was met")
			}
			verdict(t, w, kept, refused)
		})
	}
}

// verdict waits until all that was kept has arrived, starts mtad again, and
// looks for what was refused.
func verdict(t *testing.T, w *world, kept, refused map[string]bool) {
	t.Helper()
	for _, again := range []bool{false, true} {
		if again {
			w.stopMTA()
			w.start()
			kept["the-last"] = true
			if reply := hand(t, w, "the-last", 100); reply[0] != '2' {
				t.Errorf("after a restart: %s", reply)
			}
		}
		eventually(t, "all that was taken arrives", func() bool {
			got := arrivals(w)
			for mark := range kept {
				if got[mark] == 0 {
					return false
				}
			}
			return true
		})
		for mark := range arrivals(w) {
			if refused[mark] {
				t.Errorf("%s was refused and arrived", mark)
			}
		}
	}
}

// A disk that fails for a while: mail is put off, that which is there waits or
// is delivered, and all goes on when the disk is well.
func TestDiskFailsForAWhile(t *testing.T) {
	for name, faults := range map[string][]disk.Fault{
		"full":         {{Op: disk.OpWrite, Err: syscall.ENOSPC, Forever: true}, {Op: disk.OpCreate, Err: syscall.ENOSPC, Forever: true}},
		"read-only":    {{Op: disk.OpWrite, Err: syscall.EROFS, Forever: true}, {Op: disk.OpCreate, Err: syscall.EROFS, Forever: true}, {Op: disk.OpSync, Err: syscall.EROFS, Forever: true}, {Op: disk.OpRename, Err: syscall.EROFS, Forever: true}, {Op: disk.OpRemove, Err: syscall.EROFS, Forever: true}},
		"no sync":      {{Op: disk.OpSync, Err: syscall.EIO, Forever: true}},
		"no write":     {{Op: disk.OpWrite, Err: syscall.EIO, Forever: true, Short: true}},
		"no new files": {{Op: disk.OpCreate, Err: syscall.EMFILE, Forever: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cfg.Queue.LargeMessage = 4 << 10
			w.start()
			kept, refused := map[string]bool{}, map[string]bool{}
			w.lmtp.service.down()
			if reply := hand(t, w, "before", 100); reply[0] != '2' {
				t.Fatal(reply)
			}
			kept["before"] = true
			for _, f := range faults {
				w.disk.Add(f)
			}
			w.lmtp.service.up()
			for i, size := range []int{100, 20 << 10, 100, 20 << 10} {
				mark := fmt.Sprintf("meanwhile-%d", i)
				switch reply := hand(t, w, mark, size); {
				case reply[0] == '4':
					refused[mark] = true
				case reply[0] == '2' && name == "no new files" && size == 100:
					kept[mark] = true // it goes into a file that is there
				default:
					t.Errorf("%s: %s", mark, reply)
				}
			}
			w.disk.Clear()
			for i, size := range []int{100, 20 << 10} {
				mark := fmt.Sprintf("afterwards-%d", i)
				if reply := hand(t, w, mark, size); reply[0] != '2' {
					t.Errorf("%s: %s", mark, reply)
				}
				kept[mark] = true
			}
			verdict(t, w, kept, refused)
		})
	}
}

// unsteady asks other name servers when it is told to.
type unsteady struct{ now atomic.Pointer[dnsx.Resolver] }

func (u *unsteady) ask(r dnsx.Resolver) { u.now.Store(&r) }

func (u *unsteady) MX(ctx context.Context, domain string) ([]dnsx.MX, error) {
	return (*u.now.Load()).MX(ctx, domain)
}

func (u *unsteady) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	return (*u.now.Load()).Addrs(ctx, host)
}

func (u *unsteady) PTR(ctx context.Context, ip netip.Addr) ([]string, error) {
	return (*u.now.Load()).PTR(ctx, ip)
}

func (u *unsteady) SRV(ctx context.Context, name string) ([]dnsx.SRV, error) {
	return (*u.now.Load()).SRV(ctx, name)
}

func (u *unsteady) TXT(ctx context.Context, name string) ([]string, error) {
	return (*u.now.Load()).TXT(ctx, name)
}

// play takes steps as in testdata.
func play(t *testing.T, p *player, steps string) {
	t.Helper()
	for _, line := range strings.Split(steps, "\n") {
		if err := p.step(line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, strings.Join(p.w.log.Classic(), "\n"))
		}
	}
}

// Name servers that are silent, fail, or talk nonsense put mail off; it goes
// when they have come to their senses.
func TestNameServersFail(t *testing.T) {
	for name, answer := range map[string]func(q []byte) []byte{
		"silence":     func([]byte) []byte { return nil },
		"garbage":     func([]byte) []byte { return []byte("\xff\x00garbage") },
		"echo":        func(q []byte) []byte { return q },
		"short":       func(q []byte) []byte { return q[:min(len(q), 5)] },
		"server fail": func(q []byte) []byte { return append([]byte{q[0], q[1], q[2] | 0x80, 2}, q[4:]...) },
		"refused":     func(q []byte) []byte { return append([]byte{q[0], q[1], q[2] | 0x80, 5}, q[4:]...) },
		"other id":    func(q []byte) []byte { return append([]byte{q[0] + 1, q[1], q[2] | 0x80, 3}, q[4:]...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pc, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer pc.Close()
			go func() {
				buf := make([]byte, 1500)
				for {
					n, from, err := pc.ReadFrom(buf)
					if err != nil {
						return
					}
					if n < 12 {
						continue
					}
					if a := answer(append([]byte(nil), buf[:n]...)); a != nil {
						_, _ = pc.WriteTo(a, from)
					}
				}
			}()
			w := newWorld(t)
			cfg := dnsx.DefaultConfig()
			cfg.Servers, cfg.Timeout, cfg.Attempts = []string{pc.LocalAddr().String()}, conf.Duration(50*time.Millisecond), 1
			client, err := dnsx.NewClient(cfg, time.Now)
			if err != nil {
				t.Fatal(err)
			}
			names := &unsteady{}
			names.ask(client)
			w.names = names
			w.start()
			p := &player{t: t, w: w}
			play(t, p, `connect submit
S: 220 *
C: HELO x
S: 250 *
C: MAIL FROM:<joe@ours.example>
S: 250 *
C: RCPT TO:<a@far.example>
S: 250 *
C: DATA
S: 354 *
C: hello
C: .
S: 250 *
log: postfix/smtp: *: to=<a@far.example>, relay=none, *, dsn=4.4.3, status=deferred (*`)
			names.ask(w.zone)
			play(t, p, "far a@far.example: 1\nqueued 0\nlmtp joe@ours.example: 0")
		})
	}
}
