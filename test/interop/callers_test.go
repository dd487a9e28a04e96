//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// hostSuite is a suite whose host has users of its own: mail for root is
// alice's. more are further aliases and keys of mtad.
func hostSuite(t *testing.T, aliases, more string) *suite.Suite {
	t.Helper()
	dir := tempDir(t, "host")
	write(t, dir+"/aliases", "root: alice@demo.test\n"+aliases, 0o644)
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		c = strings.Replace(c, "domains:\n", "domains:\n  local: [mail.demo.test]\n", 1)
		return c + fmt.Sprintf("\nrewrite:\n  alias_maps: [\"aliases:%s/aliases\"]\n%s", dir, more)
	}})
	t.Setenv("MAIL_CONFIG", filepath.Dir(s.Procs["mtad"].Config()))
	return s
}

// Programs that call sendmail(1), each with the arguments that it has built in.
func TestCallersOfSendmail(t *testing.T) {
	s := hostSuite(t, "", "")
	sendmail := tools(t) + "/sendmail"
	to := s.Accounts[1].Name

	t.Run("mailutils mail", func(t *testing.T) {
		need(t, "mail.mailutils")
		set := "set sendmail=sendmail://" + sendmail
		run(t, "by mail\n.\nlast\n", "mail.mailutils", "-E", set, "-s", "by-mailutils", "-a", "X-Caller: mail", to)
		holds(t, arrived(t, s, "bob", "Subject: by-mailutils"), "X-Caller: mail", "\nby mail\n", "\nFrom: ", "\nDate: ")
		run(t, "by mail\n", "mail.mailutils", "-E", set, "-s", "to-root", "-r", "cron@demo.test", "root")
		holds(t, arrived(t, s, "alice", "Subject: to-root"), "Return-Path: <cron@demo.test>")
	})
	// Debian's cron, cronie, systemd-cron, anacron, at, smartd, mdadm, logwatch,
	// apt-listchanges; each gives the header, too.
	for name, args := range map[string]string{
		"cron":         "-FCronDaemon -i -B8BITMIME -oem root",
		"cronie":       "-FCronDaemon -i -odi -oem -oi -t -f root",
		"systemd-cron": "-i -B 8BITMIME root",
		"anacron":      "-FAnacron -odi root",
		"at":           "-i root",
		"mdadm":        "-t",
		"logwatch":     "-t -oi",
		"debian-tools": "-oi -t -odq",
	} {
		t.Run(name, func(t *testing.T) {
			header := "From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@host> " + name + "\nMIME-Version: 1.0\n" +
				"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\nX-Cron-Env: <HOME=/root>\n\n"
			run(t, header+"größer\n.\nlast line without an end", "sh", "-c", sendmail+" "+args)
			holds(t, arrived(t, s, "alice", "<root@host> "+name+"\n"), "Return-Path: <root@mail.demo.test>", "X-Cron-Env: <HOME=/root>", "größer\n", "\nTo: root")
			if got := arrived(t, s, "alice", "<root@host> "+name+"\n"); regexp.MustCompile(`-o?i `).MatchString(args+" ") != strings.Contains(got, "\n.\nlast line") {
				t.Errorf("a lone dot ends the message, unless -i or -oi says otherwise:\n%s", got)
			}
		})
	}
	t.Run("PHP's mail()", func(t *testing.T) {
		need(t, "php")
		php := func(code string) string {
			return run(t, "", "php", "-n", "-d", "sendmail_path="+sendmail+" -t -i", "-r", "var_dump("+code+");")
		}
		if out := php(`mail("` + to + `", "by-php", "one\n.\nthree\n", "From: Shop <shop@demo.test>\r\nBcc: alice@demo.test", "-fbounce@demo.test")`); !strings.Contains(out, "bool(true)") {
			t.Errorf("mail() says %s", out)
		}
		holds(t, arrived(t, s, "bob", "Subject: by-php"), "Return-Path: <bounce@demo.test>", "From: Shop <shop@demo.test>", "\n.\nthree\n")
		if got := arrived(t, s, "alice", "Subject: by-php"); strings.Contains(got, "Bcc:") {
			t.Errorf("Bcc is shown:\n%s", got)
		}
		// What PHP lets through as an option must stay an address.
		if out := php(`mail("a b@@x", "never", "x", "", "-f'x y'@demo.test")`); !strings.Contains(out, "bool(false)") {
			t.Errorf("mail() to nowhere says %s", out)
		}
	})
}

// listCommand is what Mailman 2 puts into aliases for a list; a program that
// does as Mailman's wrapper would stands for it.
const listCommand = "/usr/lib/mailman/mail/mailman post news"

// Aliases that pipe to list managers: arguments, envelope, and what becomes of
// each code of sysexits.h.
func TestListManagers(t *testing.T) {
	dir := tempDir(t, "lists")
	run(t, "", "chmod", "777", dir)
	wrapper := write(t, dir+"/wrapper", `#!/bin/sh
# wrapper CODE ARGUMENT...: keeps the message and its arguments, ends with CODE,
# or, for once, with 75 the first time.
code=$1; name=$1; shift
{ printf 'args: %s\n' "$*"; cat; } >> `+dir+`/got.$name.part
[ "$code" != once ] || { code=0; [ -e `+dir+`/tried ] || { : > `+dir+`/tried; echo "database is locked"; exit 75; }; }
[ "$code" = 0 ] || echo "wrapper says $code"
mv `+dir+`/got.$name.part `+dir+`/got.$name
exit $code
`, 0o755)
	conf := "commands:\n  \"" + listCommand + "\": {argv: [" + wrapper + ", \"0\", \"${sender}\", \"${recipient}\", \"${user}\", \"${extension}\", \"${domain}\"], flags: FRD}\n"
	aliases := "news: \"|" + listCommand + "\"\nowner-news: bob@demo.test\n"
	codes := []string{"64", "65", "67", "69", "70", "73", "75", "77", "78", "1", "once"}
	for _, code := range codes {
		conf += fmt.Sprintf("  \"wrapper %[1]s\": {argv: [%[2]s, \"%[1]s\"]}\n", code, wrapper)
		aliases += fmt.Sprintf("code%[1]s: \"|wrapper %[1]s\"\n", code)
	}
	helper, err := filepath.Abs("../../bin/mtad-run")
	if err != nil {
		t.Fatal(err)
	}
	socket := dir + "/socket"
	socketUnitAt(t, socket, helper, write(t, dir+"/mtad-run.yaml", conf, 0o644))
	s := hostSuite(t, aliases, "  alias_transport: lists\ntransports: {lists: {type: pipe, socket: \""+socket+"\", command: none}}\n")
	bin := tools(t)
	post := func(to, mark string) {
		t.Helper()
		smtpSays(t, s.Addr(25), "Subject: "+mark+"\r\n\r\n.\r\nFrom here\r\n", "MAIL FROM:<alice@demo.test>", "RCPT TO:<"+to+"@mail.demo.test>")
	}

	post("news+topic", "to-the-list")
	var got string
	eventually(t, "the list has the message", func() bool {
		out, err := try("", "cat", dir+"/got.0")
		got = out
		return err == nil
	})
	holds(t, got, "args: owner-news@mail.demo.test news+topic@mail.demo.test news topic mail.demo.test\nFrom owner-news@mail.demo.test ",
		"\nReturn-Path: <owner-news@mail.demo.test>\n", "\nDelivered-To: news+topic@mail.demo.test\n", "\nSubject: to-the-list\n", "\n\n.\n", "From here\n")

	for _, code := range codes {
		post("code"+code, "code-"+code)
	}
	for _, code := range []string{"64", "65", "67", "69", "70", "73", "77", "78", "1"} {
		m := arrived(t, s, "alice", "Final-Recipient: rfc822; code"+code+"@mail.demo.test")
		holds(t, strings.Join(strings.Fields(m), " "), "Action: failed", "wrapper says "+code)
	}
	holds(t, arrived(t, s, "alice", "Final-Recipient: rfc822; code67@mail.demo.test"), "Status: 5.1.1")
	var queue string
	eventually(t, "two messages wait", func() bool {
		queue = run(t, "", bin+"/mailq")
		return strings.Contains(queue, "wrapper says 75") && strings.Contains(queue, "database is locked")
	})
	run(t, "", bin+"/postqueue", "-f")
	eventually(t, "the one that may succeed has", func() bool {
		queue = run(t, "", bin+"/mailq")
		return strings.Contains(queue, "wrapper says 75") && !strings.Contains(queue, "codeonce")
	})
}
