package obs

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Event is one thing that happened. Implementations are small structs in the
// package that emits them.
type Event interface {
	// Event is the fixed lower-case phrase, such as "login" or "message accepted".
	Event() string
	// Level decides whether the event is shown and its syslog severity.
	Level() slog.Level
	// Attrs are the facts, under the keys listed in attr.go.
	Attrs() []slog.Attr
	// Classic is the Postfix or Dovecot rendering. The tag names the program:
	// "postfix/smtpd" is shown as "postfix/smtpd[pid]: text", "dovecot" as
	// "dovecot: text", and a tag without a slash ("imap-login", "lmtp(7)") as
	// "dovecot: imap-login: text". An empty tag hides the event in this style.
	// The text of a warning carries "warning: " or "Warning: " itself, as the
	// imitated program does.
	Classic() (tag, text string)
}

// Frequent is an Event of which there is one for each message. Its facts go
// into memory that is used again.
type Frequent interface {
	Event
	// AppendAttrs appends what Attrs returns.
	AppendAttrs(dst []slog.Attr) []slog.Attr
}

// Config is the `log` section, the same in every daemon.
type Config struct {
	Style  string `yaml:"style" oneof:"json|classic|journald" doc:"How a line looks: json (one object per line), classic (the text Postfix or Dovecot would write, for fail2ban and pflogsumm) or journald (native journal fields)."`
	Target string `yaml:"target" path:"write" example:"/var/log/postcote/mtad.log" doc:"Where lines go: stderr, syslog (/dev/log, facility mail) or the path of a file, which is opened again on SIGHUP. The style journald always goes to the journal and ignores this."`
	Level  string `yaml:"level" oneof:"debug|info|warn|error" reload:"true" doc:"The least severe events that are written."`
}

// DefaultConfig is JSON on standard error at level info.
func DefaultConfig() Config { return Config{Style: "json", Target: "stderr", Level: "info"} }

// Logger writes events. It is safe for concurrent use.
type Logger struct {
	level slog.LevelVar
	style style
	sink  sink
	calm  *gather   // before a sink that takes many lines at once, or nil
	rec   *Recorder // for tests, in place of style and sink
	now   func() time.Time
	bufs  sync.Pool // of *[]byte

	lost     atomic.Uint64
	reported atomic.Uint64 // of lost, already told in the log
}

// style turns an event into one line, without a line end; an empty result
// means that the event is not shown in this style.
type style interface {
	line(dst []byte, e Event, at time.Time) []byte
}

// off is above every level.
const off = slog.Level(1 << 20)

// maxLine caps a line: syslog daemons and the journal cut longer ones or
// refuse the datagram. Nothing that a peer sends makes a line this long
// unless it wants to.
const maxLine = 32 << 10

// maxValue caps one value of a line.
const maxValue = 4 << 10

// New opens the log that cfg describes for the named daemon.
func New(cfg Config, daemon string) (*Logger, error) {
	return newLogger(cfg, daemon, systemPlaces())
}

func newLogger(cfg Config, daemon string, at places) (*Logger, error) {
	l := &Logger{now: time.Now}
	if !l.SetLevel(cfg.Level) {
		return nil, fail.New(fail.Invalid, "log level %q is not one of debug, info, warn, error", cfg.Level)
	}
	name := program{daemon: daemon, pid: strconv.Itoa(os.Getpid())}
	if cfg.Style == "journald" {
		l.style, l.sink = &journalStyle{name}, newSocketSink(at.journal)
		return l, nil
	}
	switch {
	case cfg.Target == "stderr":
		l.sink = newStreamSink(at.stderr)
	case cfg.Target == "syslog":
		l.sink = newSocketSink(at.syslog)
	case strings.HasPrefix(cfg.Target, "/"):
		sink, err := openFileSink(cfg.Target)
		if err != nil {
			return nil, err
		}
		l.sink = sink
	default:
		return nil, fail.New(fail.Invalid, "log target %q is neither stderr, syslog nor a path", cfg.Target)
	}
	toSyslog := cfg.Target == "syslog"
	switch cfg.Style {
	case "json":
		l.style = &jsonStyle{program: name, syslog: toSyslog}
	case "classic":
		l.style = &classicStyle{program: name, syslog: toSyslog, host: at.host}
	default:
		return nil, fail.New(fail.Invalid, "log style %q is not one of json, classic, journald", cfg.Style)
	}
	if !toSyslog {
		l.calm = newGather(l.sink, func(lines int) { l.lost.Add(uint64(lines)) })
	}
	return l, nil
}

// Discard is a Logger that drops everything.
func Discard() *Logger {
	l := &Logger{}
	l.level.Set(off)
	return l
}

// Log writes one event. It blocks for at most a second when the place where
// lines go does not take them; then the line is lost and counted. In a stream
// or file an event below a warning may stand 5 ms later, if there are many.
func (l *Logger) Log(e Event) {
	if e.Level() < l.level.Level() {
		return
	}
	if l.rec != nil {
		l.rec.keep(e)
		return
	}
	if !l.write(e) {
		return
	}
	if lost, told := l.lost.Load(), l.reported.Load(); lost > told && l.reported.CompareAndSwap(told, lost) {
		l.write(Line{slog.LevelWarn, "log lines were lost", []slog.Attr{slog.Uint64("count", lost-told)}})
	}
}

func (l *Logger) write(e Event) bool {
	p, _ := l.bufs.Get().(*[]byte)
	if p == nil {
		p = new([]byte)
	}
	defer l.bufs.Put(p)
	now := l.now()
	*p = l.style.line((*p)[:0], e, now)
	if len(*p) == 0 {
		return true
	}
	if l.calm != nil {
		l.calm.add(*p, e.Level(), now)
		return !l.calm.failed.Load()
	}
	lost := l.sink.write(*p, now)
	l.lost.Add(uint64(lost))
	return lost == 0
}

// Enabled reports whether events of this level are written at all; it spares
// the making of expensive facts.
func (l *Logger) Enabled(level slog.Level) bool { return level >= l.level.Level() }

// Echoes reports whether events are shown whose facts stand in another one as
// well: lines of an imitated program have no place for the facts of others. It
// spares the making of such an event.
func (l *Logger) Echoes() bool {
	_, json := l.style.(*jsonStyle)
	return !json
}

// Debug writes an untyped life-cycle line at level debug.
func (l *Logger) Debug(msg string, attrs ...slog.Attr) {
	l.Log(Line{slog.LevelDebug, msg, attrs})
}

// Info writes an untyped life-cycle line at level info.
func (l *Logger) Info(msg string, attrs ...slog.Attr) { l.Log(Line{slog.LevelInfo, msg, attrs}) }

// Warn writes an untyped life-cycle line at level warn.
func (l *Logger) Warn(msg string, attrs ...slog.Attr) { l.Log(Line{slog.LevelWarn, msg, attrs}) }

// Error writes an untyped life-cycle line at level error.
func (l *Logger) Error(msg string, attrs ...slog.Attr) {
	l.Log(Line{slog.LevelError, msg, attrs})
}

// SetLevel changes the least severe level that is written ("debug", "info",
// "warn", "error"); it reports false and changes nothing for another name.
func (l *Logger) SetLevel(name string) bool {
	var level slog.Level
	if l.level.Level() == off || level.UnmarshalText([]byte(name)) != nil || strings.ContainsAny(name, "+-") {
		return false
	}
	l.level.Set(level)
	return true
}

// Reopen opens a log file again after it was rotated away. When that fails,
// lines go on to the old file.
func (l *Logger) Reopen() error {
	f, ok := l.sink.(*fileSink)
	if !ok {
		return nil
	}
	l.calm.flush() // into the file that was open when it happened
	return f.reopen()
}

// Lost counts lines that could not be written.
func (l *Logger) Lost() uint64 { return l.lost.Load() }

// Close closes the log. Later lines are lost.
func (l *Logger) Close() error {
	if l.sink == nil {
		return nil
	}
	if l.calm != nil {
		l.calm.flush()
	}
	return l.sink.close()
}
