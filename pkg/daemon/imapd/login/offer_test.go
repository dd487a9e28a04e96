package login

import (
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// What a client may choose from depends on its connection.
func TestOfferedNames(t *testing.T) {
	var o offer
	if got := strings.Join(o.names(true, true, true), " "); got != "PLAIN LOGIN" {
		t.Errorf("before authd was reached: %s", got)
	}
	o.known.Store(&offered{mechs: []dovecotauth.Mechanism{
		{Name: "SCRAM-SHA-256-PLUS", ChannelBinding: true},
		{Name: "SCRAM-SHA-256"},
		{Name: "PLAIN", Plaintext: true},
		{Name: "APOP", Private: true},
		{Name: "EXTERNAL"},
	}})
	for _, tc := range []struct {
		secured, bound, certified bool
		want                      string
	}{
		{false, false, false, "SCRAM-SHA-256"},
		{true, false, false, "SCRAM-SHA-256 PLAIN"},
		{true, true, false, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN"},
		{true, true, true, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN EXTERNAL"},
	} {
		if got := strings.Join(o.names(tc.secured, tc.bound, tc.certified), " "); got != tc.want {
			t.Errorf("secured %v, bound %v, certified %v: %s", tc.secured, tc.bound, tc.certified, got)
		}
	}
}
