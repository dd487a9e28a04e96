package userdbclient

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

func TestMaildir(t *testing.T) {
	for _, c := range []struct{ home, mail, want string }{
		{"/home/a", "", "/home/a/Maildir"},
		{"/home/a", "maildir:~/mail", "/home/a/mail"},
		{"/home/a", "maildir:~/mail:LAYOUT=fs:INDEX=/x", "/home/a/mail"},
		{"", "maildir:/var/mail/a/", "/var/mail/a"},
		{"", "", ""},
		{"relative", "maildir:~/mail", ""},
		{"/home/a", "mbox:~/mail", ""},
		{"/home/a", "maildir:mail", ""},
		// What makes no difference, and what would have UID lists, subscriptions
		// or folders be looked for in the wrong place.
		{"/home/a", "maildir:~/mail:VOLATILEDIR=/run/x:LISTINDEX=y:ITERINDEX:NO-NOSELECT", "/home/a/mail"},
		{"/home/a", "maildir:~/mail:INBOX=~/mail/:CONTROL=/home/a/mail:SUBSCRIPTIONS=subscriptions", "/home/a/mail"},
		{"/home/a", "maildir:~/mail:CONTROL=/control/a", ""},
		{"/home/a", "maildir:~/mail:INDEX=/x:INBOX=~/mail/.INBOX", ""},
		{"/home/a", "maildir:~/mail:SUBSCRIPTIONS=subs", ""},
		{"/home/a", "maildir:~/mail:LAYOUT=fs:DIRNAME=Maildir", ""},
		{"/home/a", "maildir:~/mail:UTF-8", ""},
	} {
		got, err := UserRecord{User: "a", Home: c.home, Mail: c.mail}.Maildir()
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !fail.Is(err, fail.Unavailable) {
			t.Errorf("home %q mail %q: %q %v, want %q", c.home, c.mail, got, err, c.want)
		}
	}
}

func TestLayout(t *testing.T) {
	for mail, want := range map[string]string{
		"":                         "",
		"maildir:~/mail":           "",
		"maildir:~/mail:LAYOUT=fs": "fs",
		"maildir:~/mail:INDEX=/x:LAYOUT=Maildir++": "maildir++",
		"maildir:~/LAYOUT=fs":                      "",
	} {
		if got := (UserRecord{Mail: mail}).Layout(); got != want {
			t.Errorf("%s: %q, want %q", mail, got, want)
		}
	}
}

// A record in Dovecot 2.4's words says the same as one in those of 2.3.
func TestFieldsOf24(t *testing.T) {
	for fields, want := range map[string]string{
		"mail=maildir:~/mail":                                  "maildir:~/mail",
		"mail_path=~/mail":                                     "maildir:~/mail",
		"mail_driver=mdbox\tmail_path=~/mdbox":                 "mdbox:~/mdbox",
		"mail=maildir:~/Maildir\tmail_path=/m":                 "maildir:/m",
		"mail_driver=maildir\tmailbox_list_layout=fs":          "",
		"mail_path=/m\tmailbox_list_layout=fs":                 "maildir:/m:LAYOUT=fs",
		"mail_path=/m\tmail_index_path=/i\tmail_inbox_path=/m": "maildir:/m:INBOX=/m",
		"mail_path=/m\tmail_control_path=/c":                   "maildir:/m:CONTROL=/c",
		"mail_path=/m\tmailbox_list_utf8=yes":                  "maildir:/m:UTF-8",
		"mail_path=/m\tmailbox_list_utf8=no":                   "maildir:/m",
	} {
		line, err := dovecotauth.Parse([]byte("USER\t1\talice\t" + fields))
		if err != nil {
			t.Fatal(err)
		}
		r, err := parseRecord(line)
		if err != nil || r.Mail != want {
			t.Errorf("%q: %q %v, want %q", fields, r.Mail, err, want)
		}
	}
}
