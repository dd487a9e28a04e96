package postfixcmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/maildrop"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/client"
)

func setUmask(mask int) { unix.Umask(mask) }

func (t *tool) printf(format string, args ...any) { fmt.Fprintf(t.Stdout, format, args...) }

// dialTime is how long a socket on this host is waited for.
const dialTime = 10 * time.Second

func (t *tool) dial(ctx context.Context, path string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	return d.DialContext(ctx, "unix", path)
}

// greetingTime is how long mtad may take to say hello. systemd holds the
// socket open while mtad cannot be started; the drop is better than to wait.
const greetingTime = 10 * time.Second

// submit hands the message to mtad, or into the drop while mtad is not there.
func (t *tool) submit(ctx context.Context, set Settings, l *letter, msg io.Reader) int {
	conn, err := t.dial(ctx, set.Submit)
	if errors.Is(err, fs.ErrPermission) {
		return t.fatal(exitDenied, "User %s(%d) is not allowed to submit mail", t.login(), t.UID)
	}
	var session *client.Conn
	if err == nil {
		session, err = client.New(ctx, conn, client.Config{
			Name: "localhost", MaxLine: -1, Timeouts: client.Timeouts{Greeting: greetingTime, Hello: greetingTime},
		})
	}
	if err != nil {
		return t.drop(set, l, msg, err)
	}
	defer session.Close()
	results, err := session.Send(ctx, l.smtp(session), msg)
	var content *client.ContentError
	switch {
	case errors.As(err, &content):
		return t.fatal(exitTemporary, "%s(%d): error reading input: %v", t.login(), t.UID, content.Err)
	case err != nil:
		return t.fatal(exitTemporary, "mail system: %v", err)
	}
	code := t.judge(l, results)
	_ = session.Quit(ctx)
	return code
}

// smtp is the letter as a transaction.
func (l *letter) smtp(c *client.Conn) client.Envelope {
	env := client.Envelope{From: l.sender, Return: l.ret, EnvelopeID: l.envID, UTF8: l.utf8()}
	if _, ok := c.Extension("8BITMIME"); ok && l.eightBit {
		env.Body = smtp.Body8BitMIME
	}
	for _, to := range l.unique() {
		env.To = append(env.To, client.Recipient{To: to, Options: smtp.RcptOptions{Notify: l.notify}})
	}
	return env
}

func (l *letter) utf8() bool {
	utf8 := l.sender.NeedsUTF8()
	for _, r := range l.rcpts {
		utf8 = utf8 || r.NeedsUTF8()
	}
	return utf8
}

// unique are the recipients without those named twice.
func (l *letter) unique() []addr.Address {
	seen := make(map[addr.Address]bool, len(l.rcpts))
	var out []addr.Address
	for _, r := range l.rcpts {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}

// judge tells what mtad refused, and makes an exit code of the worst of it.
func (t *tool) judge(l *letter, results []client.Result) int {
	code := exitOK
	to := l.unique()
	for i, r := range results {
		if r.Sent() {
			continue
		}
		code = max(code, exitOf(r))
		t.warn("%s: mail system said: %s", to[i].String(), r.Reply().String())
		if r.Stage != client.StageRcpt {
			break // the same holds for all
		}
	}
	if code != exitOK {
		return t.fatal(code, "%s(%d): message refused", t.login(), t.UID)
	}
	return exitOK
}

func exitOf(r client.Result) int {
	switch {
	case !r.Permanent():
		return exitTemporary
	case r.Enhanced[1] == 7:
		return exitDenied
	}
	return exitData
}

func (t *tool) login() string {
	login, _ := t.User(t.UID)
	return login
}

// drop leaves the message where mtad finds it when it is back. why is what
// came of trying to reach it.
func (t *tool) drop(set Settings, l *letter, msg io.Reader, why error) int {
	var site *client.SiteError
	if errors.As(why, &site) && site.Permanent() {
		return t.fatal(exitDenied, "mail system said: %s", site.Reply.String())
	}
	if set.Drop == "" {
		return t.fatal(exitTemporary, "mail system is down: %v", why)
	}
	env := &maildrop.Envelope{
		Sender: l.sender.String(), Return: string(l.ret), EnvelopeID: l.envID, EightBit: l.eightBit, SMTPUTF8: l.utf8(),
	}
	var notify []string
	for _, n := range l.notify {
		notify = append(notify, string(n))
	}
	for _, to := range l.unique() {
		env.Recipients = append(env.Recipients, maildrop.Recipient{To: to.String(), Notify: notify})
	}
	err := t.dropFile(set, env, msg)
	switch {
	case err == nil:
		return exitOK
	case fail.Is(err, fail.Invalid):
		return t.fatal(exitData, "%s(%d): %v", t.login(), t.UID, err)
	}
	return t.fatal(exitTemporary, "mail system is down (%v), and its drop %s does not work: %v", why, set.Drop, err)
}

func (t *tool) dropFile(set Settings, env *maildrop.Envelope, msg io.Reader) error {
	w, err := maildrop.Create(t.FS, set.Drop, env, t.Now())
	if err != nil {
		return err
	}
	defer w.Abort()
	limit := set.Size
	if limit <= 0 {
		limit = 1 << 40
	}
	n, err := io.Copy(w, io.LimitReader(msg, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return fail.New(fail.Invalid, "the message is larger than %d bytes", limit)
	}
	return w.Commit()
}

// proxy is -bs: SMTP on standard input and output.
func (t *tool) proxy(ctx context.Context) int {
	set, err := t.settings()
	if err != nil {
		return t.fatal(exitTemporary, "%v", err)
	}
	conn, err := t.dial(ctx, set.Submit)
	if err != nil {
		return t.fatal(exitTemporary, "mail system is down: %v", err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, sessionLines(t.Stdin))
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(t.Stdout, conn); err != nil {
		return t.fatal(exitTemporary, "mail system: %v", err)
	}
	return exitOK
}

// sessionLines are the lines of a session. One that begins with a line that
// ends in LF alone comes from a script, and mtad would wait for the CRLF around
// the last dot; in any other the octets of BDAT have to stay as they are.
func sessionLines(in io.Reader) io.Reader {
	buffered := bufio.NewReaderSize(in, blockSize)
	first, _ := buffered.ReadSlice('\n')
	all := io.MultiReader(bytes.NewReader(bytes.Clone(first)), buffered)
	if bytes.HasSuffix(first, []byte("\n")) && !bytes.HasSuffix(first, []byte("\r\n")) {
		return newLines(all, false)
	}
	return all
}

// isRunning answers those who want to start a daemon: it has its own unit.
func (t *tool) isRunning(ctx context.Context) int {
	set, err := t.settings()
	if err != nil {
		return t.fatal(exitTemporary, "%v", err)
	}
	conn, err := t.dial(ctx, set.Submit)
	if err != nil {
		return t.fatal(exitTemporary, "mtad is not running; it is started by its unit: systemctl start mtad")
	}
	_ = conn.Close()
	return exitOK
}
