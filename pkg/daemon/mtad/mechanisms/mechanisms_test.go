package mechanisms

import "testing"

func TestAllowName(t *testing.T) {
	all := []string{"all"}
	for _, c := range []struct {
		rules Rules
		name  string
		tls   bool
		want  bool
	}{
		{Rules{Filter: all}, "PLAIN", false, true},
		{Rules{Filter: all}, "plain", true, true},
		{Rules{}, "PLAIN", true, false},
		{Rules{Filter: []string{"plain", "login"}}, "LOGIN", true, true},
		{Rules{Filter: []string{"plain", "login"}}, "CRAM-MD5", true, false},
		{Rules{Filter: []string{"!login", "static:all"}}, "LOGIN", true, false},
		{Rules{Filter: []string{"!login", "static:all"}}, "PLAIN", true, true},
		{Rules{Filter: all, Options: []string{"noplaintext"}}, "PLAIN", false, false},
		{Rules{Filter: all, Options: []string{"noplaintext"}}, "PLAIN", true, true},
		{Rules{Filter: all, TLS: []string{"noplaintext"}}, "PLAIN", true, false},
		{Rules{Filter: all, TLS: []string{"noplaintext"}}, "SCRAM-SHA-256", true, true},
		{Rules{Filter: all, TLS: []string{"nodictionary"}}, "CRAM-MD5", true, false},
		{Rules{Filter: all, TLS: []string{"mutual_auth"}}, "CRAM-MD5", true, false},
		{Rules{Filter: all, TLS: []string{"mutual_auth"}}, "SCRAM-SHA-1", true, true},
		{Rules{Filter: all}, "ANONYMOUS", true, false},
		{Rules{Filter: all}, "GSSAPI", true, false}, // we could not speak it
	} {
		if got := c.rules.AllowName(c.name, c.tls); got != c.want {
			t.Errorf("%+v, %s, tls %v: %v", c.rules, c.name, c.tls, got)
		}
	}
}
