package obs

import (
	"log/slog"
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

// Config is the `log` section, the same in every daemon.
type Config struct {
	Style  string `yaml:"style" oneof:"json|classic|journald" doc:"How a line looks: json (one object per line), classic (the text Postfix or Dovecot would write, for fail2ban and pflogsumm) or journald (native journal fields)."`
	Target string `yaml:"target" example:"/var/log/postcote/mtad.log" doc:"Where lines go: stderr, syslog (/dev/log, facility mail) or the path of a file, which is opened again on SIGHUP. The style journald always goes to the journal and ignores this."`
	Level  string `yaml:"level" oneof:"debug|info|warn|error" reload:"true" doc:"The least severe events that are written."`
}

// DefaultConfig is JSON on standard error at level info.
func DefaultConfig() Config { return Config{Style: "json", Target: "stderr", Level: "info"} }

// Logger writes events. It is safe for concurrent use.
type Logger struct {
	out output
}

// output is one style bound to one place.
type output interface {
	log(e Event)
}

type discard struct{}

func (discard) log(Event) {}

// New opens the log that cfg describes for the named daemon.
func New(_ Config, _ string) (*Logger, error) { return Discard(), nil }

// Discard is a Logger that drops everything.
func Discard() *Logger { return &Logger{out: discard{}} }

// Log writes one event.
func (l *Logger) Log(e Event) { l.out.log(e) }

// Enabled reports whether events of this level are written at all; it spares
// the making of expensive facts.
func (l *Logger) Enabled(_ slog.Level) bool { return true }

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
// "warn", "error"); an unknown name changes nothing.
func (l *Logger) SetLevel(_ string) {}

// Reopen opens a log file again after it was rotated away.
func (l *Logger) Reopen() error { return nil }

// Lost counts lines that could not be written.
func (l *Logger) Lost() uint64 { return 0 }

// Close flushes and closes the log.
func (l *Logger) Close() error { return nil }
