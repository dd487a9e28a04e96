package tables

import (
	"fmt"
	"testing"
)

func TestPaths(t *testing.T) {
	for name, want := range map[string]string{
		"hash:/etc/postfix/virtual":           "[{table hash:/etc/postfix/virtual /etc/postfix/virtual read}]",
		"aliases:/etc/aliases":                "[{table aliases:/etc/aliases /etc/aliases read}]",
		"mysql:/etc/postfix/my.cf":            "[{table mysql:/etc/postfix/my.cf /etc/postfix/my.cf read}]",
		"socketmap:unix:/run/x:domains":       "[{table socketmap:unix:/run/x:domains /run/x connect}]",
		"unix:passwd.byname":                  "[{table unix:passwd.byname /etc/passwd read}]",
		"socketmap:inet:127.0.0.1:1:x":        "[]",
		"tcp:host:1":                          "[]",
		"inline:{a=b}":                        "[]",
		"pcre:{{/x/ y}}":                      "[]",
		"static:/var/mail/x":                  "[]",
		"fail:/etc/x is down":                 "[]",
		"unionmap:{hash:/etc/a, hash:/etc/b}": "[]", // its members are opened, and so listed, on their own
	} {
		if got := fmt.Sprint(Paths([]string{name})); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}
