package userdbclient

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
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
