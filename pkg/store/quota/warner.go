package quota

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

const (
	tellTime   = 2 * time.Second // for one warning, all together
	tellAtOnce = 16              // warnings under way
)

// Warner gives warnings: to the log, and to the scripts behind their sockets.
// Whoever stores mail never waits for it, and no failure of it is theirs. A nil
// *Warner gives none. Safe for concurrent use.
type Warner struct {
	log   *obs.Logger
	slots chan struct{}

	mu     sync.Mutex // no Add beside Wait
	closed bool
	tells  sync.WaitGroup
}

// NewWarner returns a Warner that writes to log. Close it.
func NewWarner(log *obs.Logger) *Warner {
	return &Warner{log: log, slots: make(chan struct{}, tellAtOnce)}
}

// Close waits for the warnings under way, for two seconds at most.
func (w *Warner) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.tells.Wait()
}

// warn logs a warning and has its script told.
func (w *Warner) warn(user string, what Warning, why string) {
	w.log.Log(warned{user, what, why})
	if what.Socket == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.failed(user, what, context.Canceled)
		return
	}
	select {
	case w.slots <- struct{}{}:
	default:
		w.failed(user, what, fmt.Errorf("%d warnings are under way", tellAtOnce))
		return
	}
	w.tells.Go(func() {
		defer func() { <-w.slots }()
		ctx, cancel := context.WithTimeout(context.Background(), tellTime)
		defer cancel()
		if err := tell(ctx, user, what); err != nil {
			w.failed(user, what, err)
		}
	})
}

func (w *Warner) failed(user string, what Warning, err error) {
	w.log.Warn("quota warning did not reach its script", slog.String(obs.KeyUser, user), slog.String("socket", what.Socket), obs.Err(err))
}

// tell speaks Dovecot's script protocol, of which nobody waits for the answer.
func tell(ctx context.Context, user string, what Warning) error {
	args, err := what.argsFor(user)
	if err != nil {
		return err
	}
	text, err := request(args)
	if err != nil {
		return err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", what.Socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end)
	}
	_, err = conn.Write(text)
	return err
}

// escaped are the bytes that would end an argument. What can be in a user's
// name must not become another one.
var escaped = strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")

// request is what a script service reads: its version, that nobody waits, the
// arguments, an empty line. An empty argument would be that line: at the end it
// is left out, before others it is an error.
func request(args []string) ([]byte, error) {
	for len(args) > 0 && args[len(args)-1] == "" {
		args = args[:len(args)-1]
	}
	out := []byte("VERSION\tscript\t4\t0\nnoreply\n")
	for i, a := range args {
		if a == "" {
			return nil, fail.New(fail.Invalid, "argument %d is empty for this user: put it last", i+1)
		}
		out = append(append(out, escaped.Replace(a)...), '\n')
	}
	return append(out, '\n'), nil
}

// warned: an account has come to hold as much as a warning names. Classic is
// Dovecot's line.
type warned struct {
	user string
	what Warning
	why  string
}

func (warned) Event() string     { return "quota warning" }
func (warned) Level() slog.Level { return slog.LevelInfo }
func (e warned) Attrs() []slog.Attr {
	return []slog.Attr{slog.String(obs.KeyUser, e.user), slog.String("warning", e.what.Text), slog.String("reason", e.why)}
}

func (e warned) Classic() (string, string) {
	return "quota(" + e.user + ")", "Executing warning: " + e.what.Text + " (because " + e.why + ")"
}
