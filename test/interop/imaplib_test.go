//go:build interop

package interop

import (
	"path/filepath"
	"strconv"
	"testing"
)

// imaplib is a client in Python's own IMAP library. Each line says what its
// author, who knows the library and not our server, may expect.
const imaplib = `
import datetime, imaplib, re, ssl, sys

host, port, ca, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
context = ssl.create_default_context(cafile=ca)

def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data

def flags(m, n):
    line = ok(m.fetch(n, "(FLAGS)"))[0]
    return sorted(f.decode() for f in imaplib.ParseFlags(line) if f != b"\\Recent")

m = imaplib.IMAP4_SSL(host, port, ssl_context=context)
assert "IMAP4REV1" in m.capabilities, m.capabilities
ok(m.login(user, password))
ok(m.create("Lists"))
ok(m.subscribe("Lists"))
assert any(b"Lists" in l for l in ok(m.lsub())), "LSUB"
assert any(b"Lists" in l for l in ok(m.list())), "LIST"
when = datetime.datetime(2026, 3, 1, 12, 30, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
for i in range(1, 6):
    text = "From: a@b.test\r\nSubject: letter %d\r\n\r\nbody %d\r\n.\r\n" % (i, i)
    data = ok(m.append("INBOX", "(\\Flagged $Label1)" if i == 3 else None, imaplib.Time2Internaldate(when), text.encode()))
    assert b"APPENDUID" in data[0], data
assert ok(m.select("INBOX")) == [b"5"]
assert m.response("UIDVALIDITY")[1][0].isdigit()
assert not m.is_readonly

assert ok(m.search(None, "FLAGGED")) == [b"3"]
assert ok(m.search(None, "SUBJECT", '"letter 4"')) == [b"4"]
m.literal = "letter 5".encode()
assert ok(m.search("UTF-8", "SUBJECT")) == [b"5"]
assert ok(m.uid("SEARCH", "KEYWORD", "$Label1")) == [b"3"]
assert ok(m.sort("(REVERSE ARRIVAL SUBJECT)", "UTF-8", "ALL"))[0].split()
assert ok(m.thread("REFERENCES", "UTF-8", "ALL"))[0].count(b"(") == 5

head, text = ok(m.fetch("2", "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[])"))[0]
assert text == b"From: a@b.test\r\nSubject: letter 2\r\n\r\nbody 2\r\n.\r\n", text
assert int(re.search(rb"RFC822.SIZE (\d+)", head).group(1)) == len(text)
assert datetime.datetime.fromtimestamp(__import__("time").mktime(imaplib.Internaldate2tuple(head)), datetime.timezone.utc) == when, head
assert flags(m, "2") == []
assert b"BODYSTRUCTURE" in ok(m.fetch("2", "(BODYSTRUCTURE)"))[0]
ok(m.fetch("2", "(BODY[TEXT]<2.3>)"))
assert flags(m, "2") == ["\\Seen"]

ok(m.store("1:2", "+FLAGS", "(\\Answered Project)"))
assert flags(m, "1") == ["Project", "\\Answered"]
ok(m.store("2", "-FLAGS.SILENT", "(\\Seen)"))
assert flags(m, "2") == ["Project", "\\Answered"]
ok(m.store("4", "FLAGS", "(\\Draft)"))
assert flags(m, "4") == ["\\Draft"]

data = ok(m.copy("2:3", "Lists"))
assert b"COPYUID" in data[0], data
assert m.copy("1", "Nowhere")[0] == "NO"
ok(m.uid("COPY", "5", "Lists"))
assert ok(m.status("Lists", "(MESSAGES UIDNEXT)"))[0].endswith(b"(MESSAGES 3 UIDNEXT 4)")

ok(m.store("1", "+FLAGS", "\\Deleted"))
assert ok(m.expunge()) == [b"1"]
assert ok(m.search(None, "ALL")) == [b"1 2 3 4"]
ok(m.close())
assert ok(m.select("Lists", readonly=True)) == [b"3"]
try:
    m.store("1", "+FLAGS", "\\Seen")
except imaplib.IMAP4.readonly:
    pass
else:
    assert flags(m, "1") == ["Project", "\\Answered"]
ok(m.unselect())
ok(m.rename("Lists", "Letters"))
ok(m.unsubscribe("Lists"))
ok(m.delete("Letters"))
ok(m.getquotaroot("INBOX"))
ok(m.namespace())
if "UTF8=ACCEPT" in m.capabilities:
    ok(m.enable("UTF8=ACCEPT"))
if hasattr(m, "idle"):  # Python 3.14
    ok(m.select("INBOX"))
    with m.idle(duration=90) as idler:
        other = imaplib.IMAP4_SSL(host, port, ssl_context=context)
        other.login(user, password)
        other.append("INBOX", None, None, b"Subject: x\r\n\r\nx\r\n")
        assert any(kind == "EXISTS" for kind, _ in idler), "no EXISTS"
assert m.logout()[0] == "BYE"

# The same by STARTTLS, and a wrong password.
p = imaplib.IMAP4(host, int(sys.argv[6]))
ok(p.starttls(ssl_context=context))
try:
    p.login(user, "wrong")
except imaplib.IMAP4.error as e:
    assert "AUTHENTICATIONFAILED" in str(e), e
else:
    raise AssertionError("a wrong password is taken")
ok(p.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (user, password)).encode()))
p.logout()
print("done")
`

// imaplib2 is its cousin with a thread that reads, by which it has had IDLE for
// long; offlineimap stands on it.
const imaplib2 = `
import imaplib2, sys, threading

host, port, ca, user, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5]
def connect():
    m = imaplib2.IMAP4_SSL(host, port, ca_certs=ca)
    m.login(user, password)
    m.select("INBOX")
    return m

m, other = connect(), connect()
for step, want in (
    (lambda: other.append("INBOX", None, None, b"Subject: pushed\r\n\r\nx\r\n"), ("EXISTS", ["1"])),
    (lambda: other.store("1", "+FLAGS", "(\\Seen)"), ("FETCH", ["1 (UID 1 FLAGS (\\Seen))", "1 (FLAGS (\\Seen))"])),
    (lambda: other.store("1", "FLAGS.SILENT", "(\\Deleted)"), ("FETCH", ["1 (UID 1 FLAGS (\\Deleted))", "1 (FLAGS (\\Deleted))"])),
    (lambda: other.expunge(), ("EXPUNGE", ["1"])),
):
    m.pop_untagged_responses()
    over = threading.Event()
    m.idle(timeout=600, callback=lambda _: over.set())
    step()
    assert over.wait(90), "nothing was pushed"
    # \Recent goes to whichever of the two sessions hears of the message first.
    got = [(v.decode() if isinstance(v, bytes) else v).replace(" \\Recent", "") for v in m.response(want[0])[1] if v]
    assert any(g in want[1] for g in got), (want, got)
m.logout(); other.logout()
print("done")
`

// Programs that use Python's libraries, over TLS.
func TestPythonLibraries(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's, which has Debian's libraries
	need(t, python)
	s := start(t, nil)
	for i, script := range []string{imaplib, imaplib2} {
		a := s.Accounts[i]
		file := write(t, filepath.Join(t.TempDir(), "client.py"), script, 0o644)
		if out := run(t, "", python, file, "localhost", strconv.Itoa(s.Base+993), s.Path("etc/tls/cert.pem"), a.Name, a.Password, strconv.Itoa(s.Base+143)); out != "done\n" {
			t.Errorf("script %d:\n%s", i, out)
		}
	}
}
