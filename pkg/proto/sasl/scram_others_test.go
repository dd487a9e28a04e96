package sasl

import (
	"errors"
	"testing"
)

// Any of a user's passwords will do; the backend learns which it was, and the
// server proves itself by the same one.
func TestSCRAMOthers(t *testing.T) {
	for _, name := range []string{"SCRAM-SHA-1", "SCRAM-SHA-256"} {
		m, _ := Find(name)
		for _, tc := range []struct {
			password, used string
			disabled       bool
			want           error
		}{
			{"main", "", false, nil},
			{"phone", "phone", false, nil},
			{"tablet", "tablet", false, nil},
			{"wrong", "", false, errWrong},
			{"phone", "phone", true, errWrong},
		} {
			p := &people{passwords: map[string]string{"alice": "main"}, others: []string{"phone", "tablet"}, disabled: tc.disabled}
			_, err := exchange(t, m, Setting{}, Credentials{Authcid: "alice", Password: tc.password}, p)
			if !errors.Is(err, tc.want) || p.used != tc.used {
				t.Errorf("%s %s: %q, %v", name, tc.password, p.used, err)
			}
		}
	}
}
