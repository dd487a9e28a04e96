package sasl

import (
	"testing"
	"time"
)

func TestStampKnowsItsChallenges(t *testing.T) {
	start := time.Unix(0x5f000000, 0)
	ours := Stamp{PID: 0x1a2b, Conn: 7, Since: start}
	if got := ours.Challenge(start, "AAECAw==", "mx.example"); got != "<1a2b.7.5f000000.AAECAw==@mx.example>" || !ours.made(got) {
		t.Errorf("%s", got)
	}
	for challenge, want := range map[string]bool{
		"<1a2b.7.5f000001.x@h>":         true,
		"<1A2B.7.5F000001.x@h>":         true,
		"<1a2b.7.5effffff.x@h>":         false, // before the start
		"<1a2b.8.5f000001.x@h>":         false, // another connection's
		"<1a2c.7.5f000001.x@h>":         false, // another process's
		"1a2b.7.5f000001.x@h>":          false,
		"<1a2b.7.5f000001":              false,
		"<1a2b.7.-1.x@h>":               false,
		"<1a2b.7.5f0000001111111111.x>": false,
		"<>":                            false,
		"":                              false,
	} {
		if ours.made(challenge) != want {
			t.Errorf("%s: %v", challenge, !want)
		}
	}
	if (Stamp{}).made("<0.0.5f000001.x@h>") {
		t.Error("the zero stamp accepts a challenge")
	}
}
