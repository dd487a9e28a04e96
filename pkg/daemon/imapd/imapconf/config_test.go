package imapconf

import (
	"fmt"
	"slices"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/proto/imap/server"
)

func TestID(t *testing.T) {
	c := Common{IDSend: map[string]string{"version": "*", "name": "*", "support-url": "https://x", "os": "*"}}
	if got := fmt.Sprint(c.ID("1.2")); got != "[[name Postcote] [support-url https://x] [version 1.2]]" {
		t.Error(got)
	}
	if got := (Common{}).ID("1.2"); got != nil {
		t.Error(got)
	}
}

func TestFill(t *testing.T) {
	s := DefaultSession()
	s.Workarounds = []string{"delay-newmail", "tb-lsub-flags"}
	s.Capabilities = map[string]bool{"compress=deflate": false, "IDLE": true}
	s.Literal = "minus"
	var c server.Config
	s.Fill(&c, "1.2")
	if c.Workarounds != server.DelayNewmail|server.TBLsubFlags || !slices.Equal(c.Without, []string{"compress=deflate"}) || !c.LiteralMinus {
		t.Errorf("%+v", c)
	}
}

// file is a file with nothing but our keys.
type file struct {
	IMAP Session `yaml:",inline"`
}

func TestValidate(t *testing.T) {
	for text, want := range map[string]bool{
		"imap_client_workarounds: [tb-lsub-flags]\nimap_capability: {compress=deflate: false}\n": true,
		"imap_client_workarounds: [outlook]\n":                                                   false,
		"imap_capability: {COMPRESS: false}\n":                                                   false,
		"imap_capability: {IMAP4rev1: false}\n":                                                  false,
		"imap_id_send: {\"na\\tme\": x}\n":                                                       false,
		"imap_id_send: {name: \"*\", vendor: Acme}\n":                                            true,
		"imap_literal: maybe\n":                                                                  false,
	} {
		f := file{DefaultSession()}
		if err := conf.Parse("test.yaml", []byte(text), &f); (err == nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
