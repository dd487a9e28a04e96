package load

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// First is when message 0 was written; each further one came ten minutes later.
var First = time.Date(2025, 1, 6, 9, 0, 0, 0, time.UTC)

// Written is the date of message i.
func Written(i int) time.Time { return First.Add(time.Duration(i) * 10 * time.Minute) }

var (
	people  = strings.Fields("alba benno clara dimitri edda farid gesa henrik ilka jorge kaya lorenz mira nils oda petra quirin runa stefan tilda urs vera wanda xaver yara zeno")
	names   = []string{"Alba Conti", "Benno Ahlers", "Clara Sørensen", "Dimitri Papas", "Edda Kühn", "Farid Haddad", "Gesa Brandt", "Henrik Åström"}
	topics  = strings.Fields("harvest ledger timetable orchard permit roof concert inventory tender survey canal library bakery ferry museum clinic garden quarry vineyard workshop")
	phrases = strings.Fields("we have seen that the numbers of last week do not fit what was agreed and so it seems better to wait until " +
		"everybody has read them before anything is signed or paid because a mistake here would cost more than a few days could ever save " +
		"please look at page four again where both columns should come to an equal sum and tell me when you think it can go out thank you")
)

// letter makes one message.
type letter struct {
	r *rand.Rand
	b bytes.Buffer
}

// Message is message i: always the same bytes, lines ended by CRLF, 1 to 200 KB
// with a median of 8. Three in five are plain text, one in four has an HTML form
// of it, the others have an attachment. One word in 500 is rare.
func Message(i int) []byte { return Sized(i, 0) }

// Sized is a message like Message(i) of about size bytes; 0 leaves the size to chance.
func Sized(i, size int) []byte {
	l := letter{r: rand.New(rand.NewPCG(uint64(i), 0x6d61696c))}
	if size == 0 {
		size = min(max(int(8192*math.Exp(1.1*l.r.NormFloat64())), 1024), 200<<10)
	}
	kind := l.r.IntN(20)
	l.header(i)
	body := max(size-l.b.Len()-200, 100)
	switch {
	case kind < 12:
		l.b.WriteString("Content-Type: text/plain; charset=utf-8\r\n\r\n")
		l.text(body)
	case kind < 17:
		fmt.Fprintf(&l.b, "Content-Type: multipart/alternative; boundary=\"=_alt%d\"\r\n\r\n", i)
		fmt.Fprintf(&l.b, "--=_alt%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", i)
		l.text(body * 2 / 5)
		fmt.Fprintf(&l.b, "--=_alt%d\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><body style=3D\"margin:0\"><p>\r\n", i)
		l.text(body * 3 / 5)
		fmt.Fprintf(&l.b, "</p></body></html>\r\n--=_alt%d--\r\n", i)
	default:
		fmt.Fprintf(&l.b, "Content-Type: multipart/mixed; boundary=\"=_mix%d\"\r\n\r\n", i)
		fmt.Fprintf(&l.b, "--=_mix%d\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", i)
		l.text(body / 5)
		fmt.Fprintf(&l.b, "--=_mix%[1]d\r\nContent-Type: application/pdf; name=\"paper%[1]d.pdf\"\r\nContent-Disposition: attachment; filename=\"paper%[1]d.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n", i)
		l.base64(body * 4 / 5)
		fmt.Fprintf(&l.b, "--=_mix%d--\r\n", i)
	}
	return l.b.Bytes()
}

func (l *letter) header(i int) {
	from, to := l.r.IntN(len(people)), l.r.IntN(len(people))
	subject := fmt.Sprintf("%s and %s, %d", topics[l.r.IntN(len(topics))], topics[l.r.IntN(len(topics))], i)
	if l.r.IntN(6) == 0 {
		subject = "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(subject+" für heute")) + "?="
	}
	name := names[from%len(names)]
	if strings.IndexFunc(name, func(r rune) bool { return r > 126 }) >= 0 {
		name = "=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
	}
	date := Written(i).Format("Mon, 02 Jan 2006 15:04:05 -0700")
	fmt.Fprintf(&l.b, "Return-Path: <%[1]s@sender.test>\r\nReceived: from out.sender.test (out.sender.test [192.0.2.7])\r\n\tby mx.bench.test with ESMTPS id %08[2]x;\r\n\t%[3]s\r\n", people[from], i, date)
	fmt.Fprintf(&l.b, "From: %s <%s@sender.test>\r\nTo: %s@bench.test\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%x.%d@sender.test>\r\n", name, people[from], people[to], subject, date, l.r.Uint64(), i)
	if l.r.IntN(3) == 0 {
		fmt.Fprintf(&l.b, "Cc: %s@bench.test, %s@bench.test\r\n", people[l.r.IntN(len(people))], people[l.r.IntN(len(people))])
	}
	if i%4 != 0 {
		fmt.Fprintf(&l.b, "In-Reply-To: <thread.%[1]d@sender.test>\r\nReferences: <thread.%[1]d@sender.test>\r\n", i/4)
	}
	l.b.WriteString("MIME-Version: 1.0\r\n")
}

// text writes about n bytes of words in lines of about 70.
func (l *letter) text(n int) {
	column := 0
	for end := l.b.Len() + n; l.b.Len() < end; {
		word := phrases[l.r.IntN(len(phrases))]
		if l.r.IntN(500) == 0 {
			word = fmt.Sprintf("rare%05d", l.r.IntN(100000))
		}
		l.b.WriteString(word)
		if column += len(word) + 1; column > 70 {
			column = 0
			l.b.WriteString("\r\n")
			continue
		}
		l.b.WriteByte(' ')
	}
	l.b.WriteString("\r\n")
}

func (l *letter) base64(n int) {
	var raw [64]byte
	for end := l.b.Len() + n; l.b.Len() < end; {
		for i := 0; i < len(raw); i += 8 {
			binary.LittleEndian.PutUint64(raw[i:], l.r.Uint64())
		}
		l.b.WriteString(base64.StdEncoding.EncodeToString(raw[:57]))
		l.b.WriteString("\r\n")
	}
}

// Maildir writes the messages 0 to n-1 below dir, with lines ended by LF, the
// sizes in the names as Dovecot puts them there, and some flags: most are seen,
// a few answered or flagged. Their owner is uid, if it is not negative.
func Maildir(dir string, n, uid int) error {
	cur := filepath.Join(dir, "cur")
	if err := os.MkdirAll(cur, 0o755); err != nil {
		return err
	}
	for i := range n {
		wire := Message(i)
		stored := bytes.ReplaceAll(wire, []byte("\r\n"), []byte("\n"))
		path := filepath.Join(cur, fmt.Sprintf("%d.M%06dP1.bench.test,S=%d,W=%d:2,%s", Written(i).Unix(), i, len(stored), len(wire), flags(i)))
		if err := os.WriteFile(path, stored, 0o660); err != nil {
			return err
		}
		if err := os.Chtimes(path, Written(i), Written(i)); err != nil {
			return err
		}
		if uid >= 0 {
			if err := os.Chown(path, uid, uid); err != nil {
				return err
			}
		}
	}
	return nil
}

// flags of message i in the letters of a Maildir, in their order.
func flags(i int) string {
	r := rand.New(rand.NewPCG(uint64(i), 0x666c6167))
	f := ""
	if r.IntN(40) == 0 {
		f += "F"
	}
	if r.IntN(12) == 0 {
		f += "R"
	}
	if r.IntN(10) < 8 {
		f += "S"
	}
	return f
}
