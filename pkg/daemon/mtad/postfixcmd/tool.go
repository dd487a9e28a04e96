package postfixcmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Exit codes of sysexits(3).
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 64
	exitData        = 65
	exitUnavailable = 69
	exitTemporary   = 75
	exitDenied      = 77
)

// Settings are the facts of mtad.yaml that the commands need.
type Settings struct {
	Submit  string // path of the submit socket
	Control string // paths of the control and status sockets
	Status  string
	Drop    string   // the mail drop; empty: none
	Origin  string   // domain of addresses without one
	Size    int64    // of the largest message, 0: no limit
	Aliases []string // files of aliases(5)

	Parameters func() []Parameter // all that postconf knows, by name
	TableTypes func() []string
}

// System is what a command touches of the system around it.
type System struct {
	Args           []string // the first is the name
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	Terminal       bool // Stdout is one
	UID            int
	User           func(uid int) (login, fullName string) // login is never empty
	FS             disk.FS
	Now            func() time.Time
	// Settings reads a configuration file; named says that the caller asked
	// for this one.
	Settings func(file string, named bool) (Settings, error)
	Log      func(tag, level, text string) error // to the mail log
}

// OS is the real System, but for Settings.
func OS() *System {
	return &System{
		Args: os.Args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv, UID: os.Getuid(),
		Terminal: isTerminal(os.Stdout),
		User:     account, FS: disk.OS(), Now: time.Now, Log: syslogLine,
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// account is the login name and the first field of the comment in passwd.
func account(uid int) (login, fullName string) {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil || u.Username == "" {
		return "unknown", ""
	}
	name, _, _ := strings.Cut(u.Name, ",")
	return u.Username, strings.ReplaceAll(name, "&", u.Username)
}

// tool is a command that runs.
type tool struct {
	*System
	name string
	file string // configuration file asked for by an option
}

// commands by the names they are called by.
func commands() map[string]func(*tool, context.Context, []string) int {
	return map[string]func(*tool, context.Context, []string) int{
		"sendmail":   (*tool).sendmail,
		"mailq":      (*tool).mailq,
		"newaliases": (*tool).newaliases,
		"postqueue":  (*tool).postqueue,
		"postsuper":  (*tool).postsuper,
		"postcat":    (*tool).postcat,
		"postlog":    (*tool).postlog,
		"postconf":   (*tool).postconf,
		"postfix":    (*tool).postfix,
		"postkick":   (*tool).postkick,
		"qshape":     (*tool).qshape,
	}
}

// Run is the command that s is called by; ok is false when it is none of
// these.
func Run(ctx context.Context, s *System) (code int, ok bool) {
	if len(s.Args) == 0 {
		return 0, false
	}
	t := &tool{System: s, name: filepath.Base(s.Args[0])}
	run, ok := commands()[t.name]
	if !ok {
		return 0, false
	}
	return run(t, ctx, s.Args[1:]), true
}

// fatal says why the command ends, as Postfix's commands do.
func (t *tool) fatal(code int, format string, args ...any) int {
	fmt.Fprintf(t.Stderr, "%s: fatal: %s\n", t.name, oneLine(fmt.Sprintf(format, args...)))
	return code
}

func (t *tool) warn(format string, args ...any) {
	fmt.Fprintf(t.Stderr, "%s: warning: %s\n", t.name, oneLine(fmt.Sprintf(format, args...)))
}

func (t *tool) say(format string, args ...any) {
	fmt.Fprintf(t.Stderr, "%s: %s\n", t.name, oneLine(fmt.Sprintf(format, args...)))
}

// badOption says what getopt found wrong, in the words of getopt(3).
func (t *tool) badOption(spec string, letter byte) {
	if _, after, known := strings.Cut(spec, string(rune(letter))); known && letter != ':' && strings.HasPrefix(after, ":") {
		t.say("option requires an argument -- '%c'", letter)
		return
	}
	t.say("invalid option -- '%c'", letter)
}

// oneLine keeps what came from elsewhere on the line of a message.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

const defaultConfig = "/etc/postcote/mtad.yaml"

// configure takes the argument of -c or -C: a folder, as in Postfix, or a file.
func (t *tool) configure(path string) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, filepath.Base(defaultConfig))
	}
	t.file = path
}

// settings reads the configuration. Postfix's MAIL_CONFIG counts when the
// folder that it names is one of ours.
func (t *tool) settings() (Settings, error) {
	file, named := t.configFile()
	set, err := t.Settings(file, named)
	return set, fail.Wrap(fail.Invalid, err, "%s", file)
}

// configFile is the configuration file; named says that the caller chose it.
func (t *tool) configFile() (file string, named bool) {
	if t.file != "" {
		return t.file, true
	}
	if dir := t.Getenv("MAIL_CONFIG"); dir != "" {
		file := filepath.Join(dir, filepath.Base(defaultConfig))
		if _, err := os.Stat(file); err == nil {
			return file, true
		}
	}
	return defaultConfig, false
}
