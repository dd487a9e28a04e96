package obs

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// testEvent is an event with everything chosen by the test.
type testEvent struct {
	phrase    string
	level     slog.Level
	attrs     []slog.Attr
	tag, text string
}

func (e testEvent) Event() string               { return e.phrase }
func (e testEvent) Level() slog.Level           { return e.level }
func (e testEvent) Attrs() []slog.Attr          { return e.attrs }
func (e testEvent) Classic() (tag, text string) { return e.tag, e.text }
func testTime() time.Time                       { return time.Date(2026, 11, 3, 15, 4, 5, 123456789, time.UTC) }
func testProgram() program                      { return program{"mtad", "4711"} }
func render(s style, e Event) string            { return string(s.line(nil, e, testTime())) }
func jsonLine(e Event) string                   { return render(&jsonStyle{program: testProgram()}, e) }

func classicLine(e Event, syslog bool) string {
	return render(&classicStyle{testProgram(), syslog, "mx"}, e)
}
func journalLine(e Event) string { return render(&journalStyle{testProgram()}, e) }
func connectEvent(attrs ...slog.Attr) testEvent {
	return testEvent{"connected", slog.LevelInfo, attrs, "postfix/smtpd", "connect from localhost[127.0.0.1]"}
}
func stringer(s string) slog.Attr { return slog.Any("x", bytes.NewBufferString(s)) }

func TestJSON(t *testing.T) {
	head := `{"time":"2026-11-03T15:04:05.123456Z","level":"INFO","daemon":"mtad","event":"connected"`
	for _, tc := range []struct {
		attrs []slog.Attr
		want  string
	}{
		{nil, ``},
		{[]slog.Attr{slog.String("peer", "a b"), slog.Int("size", 5), slog.Bool("ok", true)}, `,"peer":"a b","size":5,"ok":true`},
		{[]slog.Attr{slog.Duration("delay", 1500*time.Millisecond)}, `,"delay":1.5`},
		{[]slog.Attr{slog.Duration("delay", 1234567)}, `,"delay":0.001235`},
		{[]slog.Attr{Err(fail.New(fail.Denied, "no"))}, `,"err":"no","kind":"denied"`},
		{[]slog.Attr{Err(nil)}, `,"err":null`},
		{[]slog.Attr{slog.Group("tls", slog.String("version", "1.3"))}, `,"tls.version":"1.3"`},
		{[]slog.Attr{slog.Group("", slog.Int("n", 1))}, `,"n":1`},
		{[]slog.Attr{slog.Any("list", []string{"a", "b"})}, `,"list":["a","b"]`},
		{[]slog.Attr{stringer("text")}, `,"x":"text"`},
		{[]slog.Attr{slog.Any("x", (*bytes.Buffer)(nil))}, `,"x":"<nil>"`},
		{[]slog.Attr{slog.Uint64("u", 1<<63), slog.Float64("f", 0.5)}, `,"u":9223372036854775808,"f":0.5`},
		{[]slog.Attr{slog.String("x", "a\"\\\n\r\t\x00\x7f\u0085\u2028\xff")}, `,"x":"a\"\\\n\r\t\u0000\u007f\u0085\u2028\ufffd"`},
		{[]slog.Attr{slog.String("x", "grüße")}, `,"x":"grüße"`},
	} {
		if got := jsonLine(connectEvent(tc.attrs...)); got != head+tc.want+"}" {
			t.Errorf("got  %s\nwant %s", got, head+tc.want+"}")
		}
	}
}

// oftenEvent is a testEvent of which there are many.
type oftenEvent struct{ testEvent }

func (e oftenEvent) AppendAttrs(dst []slog.Attr) []slog.Attr { return append(dst, e.attrs...) }

// The facts of a frequent event are those of any other, and none of one that
// was logged before is left in the memory.
func TestFrequent(t *testing.T) {
	s := &jsonStyle{program: testProgram()}
	for _, attrs := range [][]slog.Attr{
		{slog.String("peer", "192.0.2.1"), slog.Int("size", 5), slog.Duration("delay", time.Second)},
		{slog.String("qid", "4A")},
		nil,
		{Err(fail.New(fail.Denied, "no")), slog.Group("tls", slog.String("version", "1.3")), slog.String("", "no key")},
	} {
		e := connectEvent(attrs...)
		if got, want := render(s, oftenEvent{e}), jsonLine(e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// Only JSON has each fact once.
func TestEchoes(t *testing.T) {
	for style, want := range map[string]bool{"json": false, "classic": true, "journald": true} {
		l, err := newLogger(Config{Style: style, Target: "syslog", Level: "info"}, "mtad", places{})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Echoes(); got != want {
			t.Errorf("%s: %v", style, got)
		}
	}
	if l, _ := Capture(); !l.Echoes() {
		t.Error("tests do not see them")
	}
}

func TestClassic(t *testing.T) {
	line := func(level slog.Level, attrs ...slog.Attr) Line { return Line{level, "certificate loaded", attrs} }
	for _, tc := range []struct {
		e            Event
		file, syslog string
	}{
		{connectEvent(), "Nov  3 15:04:05 mx postfix/smtpd[4711]: connect from localhost[127.0.0.1]", "<22>Nov  3 15:04:05 postfix/smtpd[4711]: connect from localhost[127.0.0.1]"},
		{testEvent{level: slog.LevelWarn, tag: "postfix/submission/smtpd", text: "warning: x"}, "Nov  3 15:04:05 mx postfix/submission/smtpd[4711]: warning: x", "<20>Nov  3 15:04:05 postfix/submission/smtpd[4711]: warning: x"},
		{testEvent{tag: "dovecot", text: "imap-login: Login: user=<a>"}, "Nov  3 15:04:05 mx dovecot: imap-login: Login: user=<a>", "<22>Nov  3 15:04:05 dovecot: imap-login: Login: user=<a>"},
		{testEvent{tag: "imap-login", text: "Login: user=<a>"}, "Nov  3 15:04:05 mx dovecot: imap-login: Login: user=<a>", "<22>Nov  3 15:04:05 dovecot: imap-login: Login: user=<a>"},
		{testEvent{tag: "imap(a/b)<7><x>", text: "Disconnected"}, "Nov  3 15:04:05 mx dovecot: imap(a/b)<7><x>: Disconnected", "<22>Nov  3 15:04:05 dovecot: imap(a/b)<7><x>: Disconnected"},
		{testEvent{tag: "", text: "hidden"}, "", ""},
		{testEvent{level: slog.LevelDebug, tag: "dovecot", text: "a\nb\x1b[1m\xff\u0085ü"}, "Nov  3 15:04:05 mx dovecot: a?b?[1m??ü", "<23>Nov  3 15:04:05 dovecot: a?b?[1m??ü"},
		{line(slog.LevelInfo), "Nov  3 15:04:05 mx postcote/mtad[4711]: certificate loaded", "<22>Nov  3 15:04:05 postcote/mtad[4711]: certificate loaded"},
		{line(slog.LevelWarn, slog.String("a", "b c"), slog.Int("n", 1)), `Nov  3 15:04:05 mx postcote/mtad[4711]: warning: certificate loaded a="b c" n=1`, `<20>Nov  3 15:04:05 postcote/mtad[4711]: warning: certificate loaded a="b c" n=1`},
		{line(slog.LevelError, Err(errors.New("x\ny"))), `Nov  3 15:04:05 mx postcote/mtad[4711]: error: certificate loaded err="x\ny" kind=temporary`, `<19>Nov  3 15:04:05 postcote/mtad[4711]: error: certificate loaded err="x\ny" kind=temporary`},
	} {
		if got := classicLine(tc.e, false); got != tc.file {
			t.Errorf("file\ngot  %s\nwant %s", got, tc.file)
		}
		if got := classicLine(tc.e, true); got != tc.syslog {
			t.Errorf("syslog\ngot  %s\nwant %s", got, tc.syslog)
		}
	}
}

func TestJournal(t *testing.T) {
	common := "SYSLOG_FACILITY=2\n"
	for _, tc := range []struct {
		e    Event
		want string
	}{
		{
			connectEvent(slog.String("peer", "127.0.0.1"), slog.Group("tls", slog.Int("bits", 256)), slog.String("_x-y", "1"), slog.String("9", "2")),
			"MESSAGE=connect from localhost[127.0.0.1]\nPRIORITY=6\n" + common +
				"SYSLOG_IDENTIFIER=postfix/smtpd\nSYSLOG_PID=4711\nDAEMON=mtad\nEVENT=connected\nPEER=127.0.0.1\nTLS_BITS=256\nX_Y=1\nX_9=2\n",
		},
		{
			testEvent{phrase: "login", tag: "imap-login", text: "Login: x"},
			"MESSAGE=imap-login: Login: x\nPRIORITY=6\n" + common +
				"SYSLOG_IDENTIFIER=dovecot\nSYSLOG_PID=4711\nDAEMON=mtad\nEVENT=login\n",
		},
		{
			Line{slog.LevelWarn, "slow disk", []slog.Attr{slog.String("path", "/a b")}},
			"MESSAGE=slow disk path=\"/a b\"\nPRIORITY=4\n" + common +
				"SYSLOG_IDENTIFIER=mtad\nSYSLOG_PID=4711\nDAEMON=mtad\nEVENT=slow disk\nPATH=/a b\n",
		},
	} {
		if got := journalLine(tc.e); got != tc.want {
			t.Errorf("got\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// TestNoInjection is the promise that one event is one line in every style,
// whatever bytes come from the network.
func TestNoInjection(t *testing.T) {
	value := rapid.OneOf(
		rapid.String(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{"a\nMESSAGE=b", "\r\n", "\u2028", "\x9b31m", "\u009b31m", strings.Repeat("ü", maxValue)}),
	)
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "value")
		e := testEvent{"login", slog.LevelInfo, []slog.Attr{slog.String(KeyUser, v), slog.Any(KeyErr, errors.New(v)), stringer(v), slog.Any("l", []string{v})}, "imap-login", "user=<" + v + ">"}
		raw := jsonLine(e)
		var got map[string]any
		if err := json.Unmarshal([]byte(raw), &got); err != nil || got["event"] != "login" || len(got) != 9 {
			t.Fatalf("%v: %s", err, raw)
		}
		if utf8.ValidString(v) && len(v) <= maxValue && got["user"] != v {
			t.Fatalf("%q became %q", v, got["user"])
		}
		journal := journalLine(e)
		if n := strings.Count(journal, "\n"); n != 12 || !strings.HasSuffix(journal, "\n") {
			t.Fatalf("%d journal lines:\n%s", n, journal)
		}
		for _, line := range append(strings.Split(strings.TrimSuffix(journal, "\n"), "\n"), raw, classicLine(e, true), classicLine(Line{slog.LevelInfo, v, e.attrs}, false)) {
			if strings.ContainsFunc(line, control) || !utf8.ValidString(line) {
				t.Fatalf("control characters in %q", line)
			}
		}
	})
}

func TestLinesAreCapped(t *testing.T) {
	var attrs []slog.Attr
	for range 100 {
		attrs = append(attrs, slog.String("k", strings.Repeat("ä", 10000)), slog.Any("l", []string{strings.Repeat("b", 10000)}))
	}
	e := testEvent{"x", slog.LevelInfo, attrs, "dovecot", strings.Repeat("ä", 100000)}
	limit := maxLine + 2*maxValue
	for name, got := range map[string]string{"json": jsonLine(e), "classic": classicLine(e, true), "journal": journalLine(e)} {
		if len(got) > limit {
			t.Errorf("%s: %d bytes", name, len(got))
		}
	}
	if !json.Valid([]byte(jsonLine(e))) {
		t.Error("a capped line must still be JSON")
	}
}

// testLogger logs into a file and returns what is in it.
func testLogger(t *testing.T, cfg Config) (*Logger, func() string) {
	t.Helper()
	cfg.Target = filepath.Join(t.TempDir(), "log")
	l, err := New(cfg, "mtad")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, func() string {
		l.calm.flush()
		data, err := os.ReadFile(cfg.Target)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
}

func TestLevels(t *testing.T) {
	l, content := testLogger(t, Config{Style: "json", Level: "warn"})
	all := func(mark string) {
		l.Debug(mark)
		l.Info(mark)
		l.Warn(mark)
		l.Error(mark)
	}
	all("a")
	if l.SetLevel("loud") || l.SetLevel("warn+1") || !l.SetLevel("debug") {
		t.Error("SetLevel takes exactly the four names")
	}
	all("b")
	got := content()
	if strings.Count(got, `"event":"a"`) != 2 || strings.Count(got, `"event":"b"`) != 4 {
		t.Error(got)
	}
	if !l.Enabled(slog.LevelDebug) || Discard().Enabled(slog.LevelError) {
		t.Error("Enabled")
	}
}

func TestReopenAfterRotation(t *testing.T) {
	l, content := testLogger(t, Config{Style: "classic", Level: "info"})
	file := l.sink.(*fileSink).path
	l.Info("before")
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	l.Info("still old")
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Info("after")
	if got := content(); strings.Contains(got, "old") || !strings.Contains(got, "after") {
		t.Error(got)
	}
	l.sink.(*fileSink).path = "/nonexistent/log"
	if err := l.Reopen(); err == nil {
		t.Error("reopening must fail")
	}
	l.Info("kept")
	if !strings.Contains(content(), "kept") {
		t.Error("a failed reopen must keep the old file")
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{"xml", "stderr", "info"},
		{"json", "stdout", "info"},
		{"json", "stderr", "loud"},
		{"json", "/nonexistent/dir/log", "info"},
	} {
		if _, err := New(cfg, "mtad"); err == nil {
			t.Errorf("%+v: accepted", cfg)
		}
	}
}

func TestRecorder(t *testing.T) {
	l, rec := Capture()
	l.Log(connectEvent())
	l.Debug("untyped")
	go l.Log(testEvent{phrase: "later"})
	if e, err := rec.Wait(t.Context(), "later"); err != nil || e.Event() != "later" {
		t.Error(e, err)
	}
	if len(rec.Events()) != 3 || len(rec.Named("connected")) != 1 {
		t.Error(rec.Events())
	}
	if got := rec.Classic(); len(got) != 1 || got[0] != "postfix/smtpd: connect from localhost[127.0.0.1]" {
		t.Error(got)
	}
	Discard().Error("nowhere")
	if err := errors.Join(Discard().Reopen(), Discard().Close()); err != nil {
		t.Error(err)
	}
}

// listenSyslog is a syslog daemon that keeps the last line.
func listenSyslog(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func receive(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, maxLine*2)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func BenchmarkJSON(b *testing.B) {
	l := &Logger{style: &jsonStyle{program: testProgram()}, sink: nowhere{}, now: testTime}
	e := connectEvent(slog.String(KeyPeer, "192.0.2.1"), slog.String(KeyQID, "4bXyZ0"), slog.Int64(KeySize, 12345),
		slog.String(KeyFrom, "alice@example.org"), slog.Duration(KeyDelay, 1234*time.Millisecond))
	var boxed Event = e
	b.ReportAllocs()
	for b.Loop() {
		l.Log(boxed)
	}
}

type nowhere struct{}

func (nowhere) write([]byte, time.Time) int { return 0 }
func (nowhere) close() error                { return nil }
