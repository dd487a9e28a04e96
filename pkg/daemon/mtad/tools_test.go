package mtad

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/postfixcmd"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/proto/control"
)

// ran is what a command did.
type ran struct {
	code        int
	out, errout string
}

// tool runs one of Postfix's commands against this world.
func (w *world) tool(stdin string, args ...string) ran {
	var out, errout bytes.Buffer
	code, ok := postfixcmd.Run(context.Background(), &postfixcmd.System{
		Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errout, UID: os.Getuid(),
		Getenv: func(string) string { return "" }, FS: disk.OS(), Now: time.Now,
		User: func(int) (string, string) { return "joe", "Joe Doe" },
		Settings: func(string, bool) (postfixcmd.Settings, error) {
			return postfixcmd.Settings{
				Submit: filepath.Join(w.dir, "submit"), Control: filepath.Join(w.dir, "control"), Status: filepath.Join(w.dir, "status"),
				Drop: w.cfg.Submit.Drop, Origin: "ours.example", Size: 1 << 20,
			}, nil
		},
	})
	if !ok {
		w.t.Fatalf("%v is no command", args)
	}
	return ran{code, out.String(), errout.String()}
}

// admin serves the verbs on the control socket, as package service does.
func (w *world) admin() {
	w.t.Helper()
	l, err := net.Listen("unix", filepath.Join(w.dir, "control"))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.daemon.rt.ServeControl(ctx, l) }()
	w.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func toolWorld(t *testing.T) *world {
	w := newWorld(t)
	w.cfg.Status.Listen = conf.Listen{Address: "unix:" + filepath.Join(w.dir, "status")}
	w.cfg.Submit.Drop = filepath.Join(w.dir, "drop")
	if err := os.Mkdir(w.cfg.Submit.Drop, 0o777); err != nil {
		t.Fatal(err)
	}
	return w
}

// arrived waits for a message and returns it.
func (w *world) arrived(s *sink, to, mark string) string {
	w.t.Helper()
	var text string
	eventually(w.t, mark+" at "+to, func() bool {
		for _, m := range s.messages(to) {
			if strings.Contains(m.text, mark) {
				text = m.text
				return true
			}
		}
		return false
	})
	return text
}

// How the programs of a Debian system call sendmail.
func TestSendmailAsCallersUseIt(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	for _, c := range []struct {
		who   string
		args  string
		stdin string
		to    string
		has   []string
		hasnt []string
	}{
		{"PHP", "-t -i", "To: ann@ours.example\nSubject: php\n\nphp1\n.\nphp2\n", "ann@ours.example", []string{"php2\r\n", "From: Joe Doe <joe@ours.example>\r\n"}, nil},
		{"PHP with a sender", "-t -i -fweb@ours.example", "To: ann@ours.example\nFrom: w@x.example\n\nphp3\n", "ann@ours.example", []string{"From: w@x.example\r\n"}, []string{"Joe Doe"}},
		{"cron", "-FCronDaemon -i -B8BITMIME -oem joe", "Subject: c\n\ncron1\n", "joe@ours.example", []string{"From: CronDaemon <joe@ours.example>\r\n", "(Postcote, from userid "}, nil},
		{"cronie", "-FCronDaemon -i -odi -oem -oi -t -f root", "To: joe\n\ncron2\n", "joe@ours.example", []string{"From: CronDaemon <root@ours.example>\r\n"}, nil},
		{"mailx", "-oi -f u@h.example -t", "Cc: \"Doe, Ann\" <ann@ours.example>\nBcc: joe@ours.example\n\nmailx1\n", "joe@ours.example", []string{"Cc: \"Doe, Ann\""}, []string{"Bcc"}},
		{"mutt", "-oem -oi -f u@h.example -N failure,delay -R hdrs -B 8BITMIME -- ann@ours.example", "Subject: m\n\nmutt1 \xc3\xa4\n", "ann@ours.example", []string{"mutt1 \xc3\xa4"}, nil},
		{"git", "-f me@h.example -i ann@ours.example joe@ours.example", "From: me@h.example\n\ngit1\n", "joe@ours.example", []string{"git1"}, nil},
		{"Perl", "-t -oi -oem", "To: undisclosed: ann@ours.example, joe@ours.example;\n\nperl1\n", "joe@ours.example", []string{"perl1"}, nil},
		{"a dot ends", "ann@ours.example", "Subject: d\n\ndot1\n.\nnot this\n", "ann@ours.example", []string{"dot1"}, []string{"not this"}},
		{"CRLF", "-i ann@ours.example", "Subject: d\r\n\r\ncrlf1\r\n.\r\nmore", "ann@ours.example", []string{"crlf1\r\n.\r\nmore\r\n"}, []string{"\r\r"}},
		{"resent", "-t", "To: nobody@far.example\nResent-To: ann@ours.example\n\nresent1\n", "ann@ours.example", []string{"resent1"}, nil},
		{"mbox", "ann@ours.example", "From joe Sat Nov 28 21:05:38 2026\nSubject: m\n\nmbox1\n", "ann@ours.example", []string{"Subject: m\r\n"}, []string{"From joe"}},
		{"no header", "ann@ours.example", "just text\nnohead1\n", "ann@ours.example", []string{"\r\n\r\njust text\r\nnohead1"}, nil},
		{"nothing at all", "-f nothing@ours.example ann@ours.example", "", "ann@ours.example", []string{"From: Joe Doe <nothing@ours.example>"}, nil},
	} {
		got := w.tool(c.stdin, append([]string{"/usr/sbin/sendmail"}, strings.Fields(c.args)...)...)
		if got.code != 0 || got.errout != "" {
			t.Errorf("%s: exit %d: %s", c.who, got.code, got.errout)
			continue
		}
		text := w.arrived(w.lmtp, c.to, c.has[0])
		for _, want := range c.has {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is missing in:\n%s", c.who, want, text)
			}
		}
		for _, bad := range c.hasnt {
			if strings.Contains(text, bad) {
				t.Errorf("%s: %q is in:\n%s", c.who, bad, text)
			}
		}
	}
}

// -bs is fed by scripts, which send the whole session at once, some of them
// with the line ends of Unix.
func TestSendmailSession(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	for _, c := range []struct{ mark, in, has string }{
		{"session1", "EHLO x\r\nMAIL FROM:<joe@ours.example>\r\nRCPT TO:<ann@ours.example>\r\nDATA\r\nSubject: s\r\n\r\nsession1\r\n.\r\nQUIT\r\n", "\r\n\r\nsession1\r\n"},
		{"session2", "HELO x\nMAIL FROM:<joe@ours.example>\nRCPT TO:<ann@ours.example>\nDATA\nSubject: s\n\nsession2\n.\nQUIT\n", "\r\n\r\nsession2\r\n"},
		{"session3", "EHLO x\r\nMAIL FROM:<joe@ours.example>\r\nRCPT TO:<ann@ours.example>\r\nBDAT 23 LAST\r\nSubject: s\r\n\r\nsession3\nQUIT\r\n", "\r\n\r\nsession3"},
	} {
		got := w.tool(c.in, "sendmail", "-bs")
		if got.code != 0 || !strings.Contains(got.out, " queued as ") || !strings.HasSuffix(got.out, "221 2.0.0 Bye\r\n") {
			t.Errorf("%q: exit %d:\n%s%s", c.in, got.code, got.out, got.errout)
			continue
		}
		if text := w.arrived(w.lmtp, "ann@ours.example", c.mark); !strings.Contains(text, c.has) {
			t.Errorf("arrived:\n%s", text)
		}
	}
}

func TestSendmailRefuses(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.cfg.Submit.Drop = ""
	w.start()
	for _, c := range []struct {
		args string
		in   string
		code int
		says string
	}{
		{"", "x", 64, "Recipient addresses must be specified on the command line or via the -t option"},
		{"-t", "Subject: x\n\n", 65, "No recipient addresses found in message header"},
		{"-Z x@ours.example", "x", 64, "usage: sendmail"},
		{"a\x00b@ours.example", "x", 65, "malformed address"},
	} {
		got := w.tool(c.in, append([]string{"sendmail"}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.errout, c.says) {
			t.Errorf("%q: exit %d: %s", c.args, got.code, got.errout)
		}
	}
	w.stopMTA()
	if got := w.tool("x", "sendmail", "ann@ours.example"); got.code != 75 || !strings.Contains(got.errout, "mail system is down") {
		t.Errorf("with mtad down: exit %d: %s", got.code, got.errout)
	}
}

// What programs like PHP's mail() hand on from strangers becomes neither an
// option nor a line of its own: white space of any kind is that of an address
// list.
func TestSendmailArguments(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"-f", "-oQ/tmp@ours.example", "ann@ours.example"}, 65},
		{[]string{"-f", "joe@ours.example", "--", "-Xlog@ours.example"}, 65},
		{[]string{"-f", "joe@ours.example\nBcc: x@far.example", "ann@ours.example"}, 0},
		{[]string{"-f", "joe@ours.example", "-F", "Joe\nBcc: x@far.example", "ann@ours.example"}, 0},
		{[]string{"-f", "joe@ours.example", "-V", "a\r\nRCPT TO:<x@far.example>", "ann@ours.example"}, 0},
		{[]string{"-f", "joe@ours.example", "--", "ann@ours.example"}, 0},
	} {
		if got := w.tool("Subject: args1\n\nx\n", append([]string{"sendmail", "-i"}, c.args...)...); got.code != c.code {
			t.Errorf("%q: exit %d, want %d: %s", c.args, got.code, c.code, got.errout)
		}
	}
	eventually(t, "four messages", func() bool { return len(w.lmtp.messages("ann@ours.example")) == 4 })
	for _, m := range w.lmtp.messages("ann@ours.example") {
		if strings.Contains(m.text, "\nBcc") || strings.ContainsAny(m.from, "\r\n") || len(w.far.messages("x@far.example")) > 0 {
			t.Errorf("from %q:\n%s", m.from, m.text)
		}
	}
}

// -bv asks where mail would go, and has the answer sent to who asks. Nobody
// gets anything else.
func TestSendmailVerifies(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.cfg.Domains.Local = []string{"host.example"}
	w.cfg.Rewrite.Aliases = []string{"inline:{ {root = joe@ours.example} }"}
	w.cfg.Submit.Senders = map[string][]string{"*": {"joe@ours.example"}}
	w.start()
	w.admin()
	got := w.tool("", "sendmail", "-bv", "-fjoe@ours.example", "ann@ours.example", "refused@far.example", "later@far.example", "good@far.example", "root@host.example")
	if got.code != 0 || got.out != "Mail Delivery Status Report will be mailed to <joe@ours.example>.\n" {
		t.Fatalf("exit %d: %s%s", got.code, got.out, got.errout)
	}
	text := w.arrived(w.lmtp, "joe@ours.example", "Subject: Mail Delivery Status Report")
	for _, want := range []string{
		"Final-Recipient: rfc822; ann@ours.example\r\nAction: deliverable\r\nStatus: 2.1.5\r\n",
		"Final-Recipient: rfc822; refused@far.example\r\nAction: undeliverable\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.far.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user here\r\n",
		"Final-Recipient: rfc822; later@far.example\r\nAction: undeliverable\r\nStatus: 4.2.1\r\n",
		"Final-Recipient: rfc822; good@far.example\r\nAction: deliverable\r\n",
		"Final-Recipient: rfc822; root@host.example\r\nAction: deliverable\r\n",
		"<good@far.example>: delivery via mx.far.example[192.0.2.1]:25: 250",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %q in\n%s", want, text)
		}
	}
	if len(w.far.messages("")) != 0 || len(w.lmtp.messages("")) != 1 {
		t.Error("somebody got a message")
	}
	if got := w.tool("", "sendmail", "-bv", "-feve@ours.example", "ann@ours.example"); os.Getuid() != 0 && got.code != 77 {
		t.Errorf("in somebody else's name: exit %d: %s", got.code, got.errout)
	}
	if got := w.tool("", "sendmail", "-bv"); got.code != 64 {
		t.Errorf("of nobody: exit %d: %s", got.code, got.errout)
	}
}

// What a local user asks for with sendmail is as in SMTP (RFC 3461 section 5.3).
func TestSendmailAsksForReports(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	got := w.tool("Subject: hello\n\nwhole text\n", "sendmail", "-f", "joe@ours.example", "-N", "success,failure", "-R", "hdrs", "-V", "id-1", "ann@ours.example", "refused@far.example")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	for want, has := range map[string]string{
		"Successful Mail Delivery Report":     "Final-Recipient: rfc822; ann@ours.example\r\nAction: delivered\r\n",
		"Undelivered Mail Returned to Sender": "Final-Recipient: rfc822; refused@far.example\r\nAction: failed\r\n",
	} {
		text := w.arrived(w.lmtp, "joe@ours.example", want)
		if !strings.Contains(text, "Original-Envelope-Id: id-1\r\n") || !strings.Contains(text, has) || strings.Contains(text, "whole text") {
			t.Errorf("%s:\n%s", want, text)
		}
	}
}

// Mail that is submitted while mtad is down is delivered when it is back.
func TestSendmailIntoTheDrop(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	got := w.tool("To: ann@ours.example\nBcc: joe@ours.example\n\nlater\n", "sendmail", "-t", "-N", "success", "-V", "id+2D1")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	big := w.tool(strings.Repeat("x", 2<<20), "sendmail", "ann@ours.example")
	if big.code != 65 {
		t.Errorf("too large: exit %d: %s", big.code, big.errout)
	}
	w.start()
	for _, to := range []string{"ann@ours.example", "joe@ours.example"} {
		text := w.arrived(w.lmtp, to, "later")
		if strings.Contains(text, "Bcc") || !strings.Contains(text, "from userid") {
			t.Errorf("arrived:\n%s", text)
		}
	}
	eventually(t, "the drop is empty", func() bool {
		left, _ := os.ReadDir(w.cfg.Submit.Drop)
		return len(left) == 0
	})
}

// What was taken into the drop has been accepted: no limit of a session leaves
// some of its recipients without it.
func TestDropWithManyRecipients(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.cfg.Submit.Recipients, w.cfg.Limits.Overshoot, w.cfg.Limits.HardErrors = 1, 0, 1
	if got := w.tool("Subject: m\n\nmany1\n", "sendmail", "ann@ours.example", "joe@ours.example", "x@far.example"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	w.start()
	w.arrived(w.lmtp, "ann@ours.example", "many1")
	w.arrived(w.lmtp, "joe@ours.example", "many1")
	w.arrived(w.far, "x@far.example", "many1")
}

// An unknown recipient is told of by mail, since the others have the message.
func TestSendmailToUnknown(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	if got := w.tool("Subject: u\n\nunknown1\n", "sendmail", "refused@ours.example", "ann@ours.example"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	w.arrived(w.lmtp, "ann@ours.example", "unknown1")
	w.arrived(w.lmtp, "joe@ours.example", "Undelivered Mail Returned to Sender")
}

// ids replaces queue ids by ID.
func ids(s string) string {
	return regexp.MustCompile(`[0-9A-Za-z]{10}z[0-9A-Za-z]{2}`).ReplaceAllString(s, "ID")
}

// deferringWorld is a started toolWorld whose mail to others waits in the queue.
func deferringWorld(t *testing.T) *world {
	t.Helper()
	w := toolWorld(t)
	w.far.service.down()
	w.cfg.Queue.MinBackoff, w.cfg.Queue.MaxBackoff = conf.Duration(time.Hour), conf.Duration(time.Hour)
	w.start()
	w.admin()
	return w
}

func TestQueueCommands(t *testing.T) {
	t.Parallel()
	w := deferringWorld(t)
	want := func(code int, out, errout string, args ...string) {
		t.Helper()
		got := w.tool("", args...)
		if got.code != code || ids(got.out) != out || ids(got.errout) != errout {
			t.Errorf("%v: exit %d, want %d\n%q\nwant\n%q\nand\n%q\nwant\n%q", args, got.code, code, ids(got.out), out, ids(got.errout), errout)
		}
	}
	want(0, "Mail queue is empty\n", "", "mailq")
	want(0, "Mail queue is empty\n", "", "sendmail", "-bp")
	want(0, "", "", "postqueue", "-j")
	if got := w.tool("Subject: q\n\nqueued\n", "sendmail", "-f", "joe@ours.example", "x@far.example"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	eventually(t, "deferred", func() bool { return w.queue.Stats().Deferred == 1 })
	list := w.tool("", "mailq").out
	id := regexp.MustCompile(`(?m)^(\w{13}) `).FindStringSubmatch(list)[1]
	if !strings.HasPrefix(list, "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"+id+"  ") ||
		!strings.HasSuffix(list, " joe@ours.example\n          (connect to mx.far.example[192.0.2.1]:25: No such file or directory)\n"+
			strings.Repeat(" ", 47)+"x@far.example\n\n-- 0 Kbytes in 1 Request.\n") {
		t.Errorf("mailq printed\n%s", list)
	}
	object := regexp.MustCompile(`^\{"queue_name": "deferred", "queue_id": "` + id + `", "arrival_time": \d+, "message_size": \d+, "forced_expire": false, ` +
		`"sender": "joe@ours.example", "recipients": \[\{"address": "x@far.example", "delay_reason": "connect to [^"]*"\}\]\}\n$`)
	if got := w.tool("", "postqueue", "-j").out; !object.MatchString(got) {
		t.Errorf("postqueue -j printed %s", got)
	}
	shape := "                                         T  5 10 20 40 80 160 320 640 1280 1280+\n" +
		"                                  TOTAL  %[1]d  %[1]d  0  0  0  0   0   0   0    0     0\n"
	row := "  1  1  0  0  0  0   0   0   0    0     0\n"
	want(0, fmt.Sprintf(shape, 0), "", "qshape")
	want(0, fmt.Sprintf(shape, 1)+"                            far.example"+row, "", "qshape", "/var/spool/postfix/deferred", "corrupt")
	want(0, fmt.Sprintf(shape, 1)+"                           ours.example"+row, "qshape: warning: there is no queue lost\n", "qshape", "-s", "deferred", "lost")
	want(0, "", "", "postkick", "public", "pickup", "W")
	want(0, "", "", "postkick", "public", "qmgr", "D")
	want(1, "", "postkick: fatal: usage: postkick [-c config_dir] [-v] class service request\n", "postkick", "public", "qmgr")
	want(1, "", "postkick: warning: unable to look up public/nosuch: No such file or directory\n"+
		"postkick: warning: Cannot contact class public service nosuch - perhaps the mail system is down\n", "postkick", "public", "nosuch", "W")
	want(0, "", "postsuper: ID: placed on hold\npostsuper: Placed on hold: 1 message\n", "postsuper", "-h", id)
	want(0, "", "postsuper: Placed on hold: 0 messages\n", "postsuper", "-h", id)
	if got := w.tool("", "mailq").out; !strings.Contains(got, id+"! ") {
		t.Errorf("not marked as held:\n%s", got)
	}
	want(0, "", "postsuper: ID: expired\npostsuper: Force-expired: 1 message\n", "postsuper", "-e", id)
	if got := w.tool("", "mailq").out; !strings.Contains(got, id+"!") {
		t.Errorf("-e took it off hold:\n%s", got)
	}
	want(0, "", "postsuper: Force-expired: 0 messages\npostsuper: Released from hold: 0 messages\n", "postsuper", "-f", "ALL", "deferred")
	want(0, "", "postsuper: warning: invalid mail queue id: bad!\npostsuper: Deleted: 0 messages\n", "postsuper", "-d", "bad!")
	want(0, "", "postsuper: Deleted: 0 messages\n", "postsuper", "-d", "ALL", "deferred")
	want(1, "", "postsuper: fatal: invalid directory name: lost\n", "postsuper", "-d", "ALL", "lost")

	got := w.tool("", "postcat", "-q", id)
	if got.code != 0 || !strings.HasPrefix(got.out, "*** ENVELOPE RECORDS hold/"+id+" ***\nmessage_size: ") ||
		!strings.Contains(got.out, "\nsender: joe@ours.example\n") || !strings.Contains(got.out, "\nrecipient: x@far.example\n*** MESSAGE CONTENTS hold/"+id+" ***\nReceived: by ") ||
		!strings.HasSuffix(got.out, "\n\nqueued\n*** HEADER EXTRACTED hold/"+id+" ***\n*** MESSAGE FILE END hold/"+id+" ***\n") {
		t.Errorf("postcat: exit %d\n%s%s", got.code, got.out, got.errout)
	}
	want(0, "\nqueued\n", "", "postcat", "-bq", id)
	want(1, "", "postcat: fatal: open queue file ID: No such file or directory\n", "postcat", "-q", "0000000000z00")

	want(0, "", "postsuper: ID: removed\npostsuper: Deleted: 1 message\n", "postsuper", "-d", id)
	want(0, "Mail queue is empty\n", "", "mailq")
	var told []string
	for _, line := range w.log.Classic() {
		if what, ok := strings.CutPrefix(line, "postfix/postsuper: "); ok {
			told = append(told, ids(what))
		}
	}
	if got := strings.Join(told, ", "); got != "ID: placed on hold, ID: expired, ID: removed" {
		t.Errorf("in the log: %s", got)
	}
	want(69, "", "postqueue: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site\n", "postqueue")
	want(69, "", "postqueue: fatal: Cannot flush queue ID - invalid name: \"BAD-\"\n", "postqueue", "-i", "BAD-")
	want(0, "", "postqueue: warning: not in the queue: ID\n", "postqueue", "-i", "0000000000z00")
	want(69, "", "postqueue: fatal: Cannot flush mail queue - invalid destination: \"bad site\"\n", "postqueue", "-s", "bad site")
	want(0, "", "", "postqueue", "-s", "far.example")
	want(0, "", "", "postqueue", "-f")
	want(0, "", "", "mailq", "-q")
	want(0, "", "", "sendmail", "-q")
	w.stopMTA()
	if err := os.Remove(filepath.Join(w.dir, "control")); err != nil { // the test's own
		t.Fatal(err)
	}
	if got := w.tool("", "postqueue", "-f"); got.code != 69 || !strings.Contains(got.errout, "mail system is down") {
		t.Errorf("with mtad down: %+v", got)
	}
	want(1, "", "postkick: warning: Cannot contact class public service qmgr - perhaps the mail system is down\n", "postkick", "public", "qmgr", "D")
	if got := w.tool("", "qshape"); got.code != 69 || !strings.Contains(got.errout, "mail system is down") {
		t.Errorf("with mtad down: %+v", got)
	}
}

// postkick public qmgr with A in the request is what postqueue -f asks for.
func TestKick(t *testing.T) {
	t.Parallel()
	w := deferringWorld(t)
	if got := w.tool("Subject: q\n\nkicked\n", "sendmail", "-f", "joe@ours.example", "x@far.example"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	eventually(t, "deferred", func() bool { return w.queue.Stats().Deferred == 1 })
	w.far.service.up()
	if got := w.tool("", "postkick", "public", "qmgr", "AD"); got.code != 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, "delivered", func() bool { return w.queue.Stats().Deferred+w.queue.Stats().Active == 0 })
}

// postsuper -f tells how many messages it expired, and how many it took off
// hold.
func TestForcedExpiry(t *testing.T) {
	t.Parallel()
	w := deferringWorld(t)
	if got := w.tool("Subject: q\n\nqueued\n", "sendmail", "-f", "joe@ours.example", "x@far.example"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.errout)
	}
	eventually(t, "deferred", func() bool { return w.queue.Stats().Deferred == 1 })
	id := regexp.MustCompile(`(?m)^(\w{13}) `).FindStringSubmatch(w.tool("", "mailq").out)[1]
	w.tool("", "postsuper", "-h", id)
	const want = "postsuper: ID: expired\npostsuper: Force-expired: 1 message\npostsuper: ID: released from hold\npostsuper: Released from hold: 1 message\n"
	if got := w.tool("", "postsuper", "-f", id); got.code != 0 || ids(got.errout) != want {
		t.Errorf("exit %d:\n%s", got.code, got.errout)
	}
	w.arrived(w.lmtp, "joe@ours.example", "Undelivered Mail Returned to Sender")
}

// Those who are no administrators may do what the configuration says.
func TestStatusSocket(t *testing.T) {
	t.Parallel()
	w := toolWorld(t)
	w.start()
	for _, c := range []struct {
		list   []string
		denied bool
	}{{[]string{"anyone"}, false}, {[]string{"!nobody", "anyone"}, true}, {nil, true}} {
		cfg := w.cfg
		cfg.Status.Mailq = c.list
		if err := w.daemon.apply(cfg); err != nil {
			t.Fatal(err)
		}
		ctx := control.WithPeer(context.Background(), control.Peer{UID: 65534})
		if err := w.daemon.access().List(ctx); (err != nil) != c.denied {
			t.Errorf("%v: %v", c.list, err)
		}
	}
}

// postfix(1) as scripts and packages call it.
func TestPostfix(t *testing.T) {
	w := toolWorld(t)
	script := func(text string) string { return "postfix/postfix-script: " + text + "\n" }
	want := func(code int, errout string, args ...string) {
		t.Helper()
		if got := w.tool("", append([]string{"postfix"}, args...)...); got.code != code || got.out != "" || !strings.HasPrefix(got.errout, errout) || errout == "" && got.errout != "" {
			t.Errorf("postfix %v: %+v", args, got)
		}
	}
	want(1, script("the Postfix mail system is not running"), "status")
	want(1, script("refreshing the Postfix mail system")+script("fatal: the Postfix mail system is not running"), "reload")
	want(1, script("fatal: the Postfix mail system is not running"), "stop")
	want(1, "postfix/postfix-script: fatal: start mtad by its unit: ", "start")
	want(0, "", "check")
	want(0, "", "set-permissions")
	want(1, "postfix: fatal: unknown command: 'x'.", "x")
	want(1, "postfix: fatal: usage: postfix ")
	want(1, "postfix: invalid option -- 'Z'\npostfix: fatal: usage: postfix ", "-Z", "status")
	w.start()
	w.admin()
	want(0, "postfix/postfix-script: the Postfix mail system is running", "status")
	want(0, "", "-v", "flush")
	want(1, script("fatal: the Postfix mail system is already running"), "start")
	want(1, "postfix/postfix-script: fatal: stop mtad by its unit: ", "stop")
}
