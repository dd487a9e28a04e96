package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/proto/program"
)

// readTimeout is how long mtad may be silent.
const readTimeout = 5 * time.Minute

// serve answers one request.
func serve(conn net.Conn, cfg Config) error {
	_ = conn.SetReadDeadline(time.Now().Add(readTimeout))
	r, body, err := program.Receive(bufio.NewReader(conn))
	if err != nil {
		return err
	}
	var reply program.Reply
	if r.Ask == "" {
		reply = deliver(cfg, r, body)
	} else {
		_, _ = io.Copy(io.Discard, body) // empty; what is not read would cut the answer off
		reply = (&forwarder{cfg: cfg, find: lookupUser}).answer(r)
	}
	_, err = conn.Write(reply.Append(nil))
	return err
}

func refuse(code int, format string, args ...any) program.Reply {
	return program.Reply{Exit: code, Output: fmt.Sprintf(format, args...)}
}

// deliver does what is asked, if the configuration allows it. The message is
// read to its end before anything is done: a program must not be told that a
// message ends where the connection broke.
func deliver(cfg Config, r program.Request, body io.Reader) program.Reply {
	name := r.Command
	switch {
	case r.File != "":
		if !slices.Contains(cfg.Files, r.File) {
			return refuse(program.ExitConfig, "this helper does not deliver to that file")
		}
	case r.Text != "":
		name = r.Text
	}
	cmd, ok := cfg.Commands[name]
	if r.File != "" {
		cmd = Command{Flags: "FB>", Null: "MAILER-DAEMON"}
		if strings.HasSuffix(r.File, "/") {
			cmd.Flags = "R"
		}
	} else if !ok {
		return refuse(program.ExitConfig, "this helper has no such command")
	}
	if limit := cmd.SizeLimit.Int64(); limit > 0 && r.Size > limit {
		return refuse(program.ExitUnavailable, "5.2.3 message size %d exceeds the limit of %d", r.Size, limit)
	}
	message, err := spool(cmd, r, body)
	switch {
	case errors.Is(err, errLoop):
		return refuse(program.ExitUnavailable, "5.4.6 mail forwarding loop for %s", r.Recipients[0].Address)
	case err != nil:
		return refuse(program.ExitTemporary, "%v", err)
	}
	defer func() { _ = message.Close() }()
	switch {
	case r.File == "":
		return cmd.run(cfg, r, message)
	case strings.HasSuffix(r.File, "/"):
		err = toMaildir(r.File, message)
	default:
		err = toMbox(r.File, message)
	}
	if err != nil {
		return refuse(program.ExitTemporary, "%v", err)
	}
	return program.Reply{Output: "delivered to file: " + r.File}
}

// spool puts the message, as the flags want it, into a file without a name.
func spool(cmd Command, r program.Request, body io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "mtad-run")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(f.Name())
	w := bufio.NewWriter(f)
	if err = cmd.write(w, r, body, time.Now()); err == nil {
		err = w.Flush()
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// maxOutput is what is kept of what a program prints.
const maxOutput = 8 << 10

// keep holds the beginning of what is written to it.
type keep struct{ b []byte }

func (k *keep) Write(p []byte) (int, error) {
	k.b = append(k.b, p[:min(len(p), maxOutput-len(k.b))]...)
	return len(p), nil
}

// run starts the program, in a process group of its own that is ended with it.
func (c Command) run(cfg Config, r program.Request, message *os.File) program.Reply {
	ctx, cancel := context.WithTimeout(context.Background(), c.TimeLimit.Std())
	defer cancel()
	argv := c.argv(cfg.values(c, r))
	var out keep
	p := exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.Stdin, p.Stdout, p.Stderr = message, &out, &out
	p.Dir = c.Directory
	if p.Dir == "" {
		p.Dir = "/"
	}
	p.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	for k, v := range c.Environ {
		p.Env = append(p.Env, k+"="+v)
	}
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Cancel = func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	p.WaitDelay = time.Second
	err := p.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return refuse(program.ExitUnavailable, "5.3.0 Command time limit exceeded")
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return program.Reply{Exit: exit.ExitCode(), Output: string(out.b)}
	case errors.As(err, &exit):
		return refuse(program.ExitTemporary, "4.3.0 Command died with %s", exit)
	case err != nil:
		return refuse(program.ExitTemporary, "4.3.5 %v", err)
	}
	return program.Reply{Output: string(out.b)}
}

var errLoop = errors.New("loop")

// write writes the message with what the flags add.
func (c Command) write(w *bufio.Writer, r program.Request, body io.Reader, now time.Time) error {
	has := func(flag string) bool { return strings.Contains(c.Flags, flag) }
	eol := "\n"
	if c.CRLF {
		eol = "\r\n"
	}
	sender := r.Sender
	if has("F") {
		from := sender
		if from == "" {
			from = c.Null
		}
		_, _ = w.WriteString("From " + strings.ReplaceAll(from, " ", "_") + "  " + now.Format(time.ANSIC) + eol)
	}
	if has("R") {
		_, _ = w.WriteString("Return-Path: <" + sender + ">" + eol)
	}
	if has("O") {
		to := r.Recipients[0].Original
		if to == "" {
			to = r.Recipients[0].Address
		}
		_, _ = w.WriteString("X-Original-To: " + to + eol)
	}
	if has("D") {
		_, _ = w.WriteString("Delivered-To: " + r.Recipients[0].Address + eol)
	}
	l := lines{w: w, eol: eol, dot: has("."), from: has(">"), loop: has("D"), to: r.Recipients[0].Address, header: true}
	if err := l.copy(body); err != nil {
		return err
	}
	if has("B") {
		_, _ = w.WriteString(eol)
	}
	return nil
}

// lines copies a message line by line.
type lines struct {
	w         *bufio.Writer
	eol       string
	dot, from bool
	loop      bool // look for our own Delivered-To
	to        string
	header    bool
}

func (l *lines) copy(body io.Reader) error {
	in := bufio.NewReaderSize(body, 64<<10)
	start := true
	for {
		piece, err := in.ReadSlice('\n')
		if len(piece) > 0 {
			if start {
				if err := l.begin(string(piece[:min(len(piece), 1100)])); err != nil {
					return err
				}
			}
			whole := piece[len(piece)-1] == '\n'
			if whole {
				piece = piece[:len(piece)-1]
				if n := len(piece); n > 0 && piece[n-1] == '\r' {
					piece = piece[:n-1]
				}
			}
			_, _ = l.w.Write(piece)
			if whole {
				_, _ = l.w.WriteString(l.eol)
			}
			start = whole
		}
		switch {
		case errors.Is(err, io.EOF):
			if !start {
				_, _ = l.w.WriteString(l.eol)
			}
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// begin looks at the start of a line.
func (l *lines) begin(line string) error {
	text := strings.TrimRight(line, "\r\n")
	if text == "" {
		l.header = false
	}
	if l.header && l.loop {
		name, value, ok := strings.Cut(text, ":")
		if ok && strings.EqualFold(name, "Delivered-To") && strings.EqualFold(strings.TrimSpace(value), l.to) {
			return errLoop
		}
	}
	if l.dot && strings.HasPrefix(line, ".") {
		_ = l.w.WriteByte('.')
	}
	if l.from && strings.HasPrefix(line, "From ") {
		_ = l.w.WriteByte('>')
	}
	return nil
}

// lockTime is how long a mailbox that others use is waited for, and when a lock
// file that nobody touches is taken for a dead one's (Postfix:
// deliver_lock_attempts, stale_lock_time).
const (
	lockTime  = 20 * time.Second
	staleLock = 500 * time.Second
)

// dotLock takes the lock file that mail programs make beside a mailbox. Where
// none can be made, as in a folder of somebody else's, the other lock has to do.
func dotLock(path string) (release func() error, err error) {
	lock, err := disk.AcquireDotLock(context.Background(), disk.OS(), path, disk.DotLockOptions{Perm: 0o600, Timeout: lockTime, Stale: staleLock})
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return func() error { return nil }, nil
	case err != nil:
		return nil, err
	}
	return lock.Release, nil
}

// toMbox appends to a file under the locks that other programs know: a lock
// file, and fcntl.
func toMbox(path string, message io.Reader) error {
	release, err := dotLock(path)
	if err != nil {
		return err
	}
	defer func() { _ = release() }() // the message is there, whatever becomes of the lock
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o660)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLKW, &lock); err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, message); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Truncate(end)) // half a message would spoil the next
	}
	return nil
}

// toMaildir writes a file into new.
func toMaildir(dir string, message io.Reader) error {
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o770); err != nil {
			return err
		}
	}
	host, _ := os.Hostname()
	name := fmt.Sprintf("%d.P%d.%s", time.Now().UnixNano(), os.Getpid(), strings.NewReplacer("/", "\\057", ":", "\\072").Replace(host))
	tmp := filepath.Join(dir, "tmp", name)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o660)
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, message); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, filepath.Join(dir, "new", name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	d, err := os.Open(filepath.Join(dir, "new"))
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
