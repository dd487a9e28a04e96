package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// TestMain lets the test binary be the end of the chain.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == replyWord {
		if err := reply(os.Environ()); err != nil {
			os.Exit(111)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// script is a checkpassword program as people write them.
const script = `#!/bin/sh
exec 5<&3
IFS= read -r line <<EOF
$(tr '\000' '|' <&5)
EOF
user=${line%%|*}; rest=${line#*|}; password=${rest%%|*}
case "$user" in
nobody) exit 3 ;;
down) exit 111 ;;
silent) exit 0 ;;
esac
if [ "$AUTHORIZED" = 1 ]; then
	[ "$user" = old ] || export AUTHORIZED=2
elif [ "$password" != "p w'\$x" ] || [ "$TCPREMOTEIP" != 192.0.2.1 ]; then
	exit 1
fi
USER=$user HOME=/home/$user userdb_uid=1000 allow_nets=192.0.2.0/24 EXTRA="userdb_uid allow_nets password" password=secret
export USER HOME EXTRA userdb_uid allow_nets password
exec "$@"
`

func newProgram(t *testing.T) program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program{argv: []string{path}, reply: []string{self, replyWord}}
}

func TestAuth(t *testing.T) {
	p := newProgram(t)
	from := dovecotauth.Fields{}.Add("rip", "192.0.2.1")
	a, err := p.Auth(helper.Request{Service: "imap", User: "alice", Password: "p w'$x", Fields: from})
	want := helper.Answer{User: "alice", Fields: dovecotauth.Fields{}.Add("user", "alice").Add("userdb_home", "/home/alice").
		Add("userdb_uid", "1000").Add("allow_nets", "192.0.2.0/24")}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("%+v %v", a, err)
	}
	for user, want := range map[string]error{"alice": helper.Mismatch, "nobody": helper.Unknown, "a\x00b": helper.Mismatch} {
		if _, err := p.Auth(helper.Request{User: user, Password: "wrong", Fields: from}); !errors.Is(err, want) {
			t.Errorf("%q: %v", user, err)
		}
	}
	// Exit code 111, and a program that did not call the end of the chain.
	for _, user := range []string{"down", "silent"} {
		if _, err := p.Auth(helper.Request{User: user, Password: "x", Fields: from}); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", user, err)
		}
	}
	p.argv[0] += ".none"
	if _, err := p.Auth(helper.Request{User: "alice", Password: "x"}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestUser(t *testing.T) {
	p := newProgram(t)
	a, err := p.User("alice")
	if err != nil || a.Fields.Get("home") != "/home/alice" || a.Fields.Get("uid") != "1000" || a.Fields.Has("allow_nets") {
		t.Errorf("%+v %v", a, err)
	}
	if _, err := p.User("nobody"); !errors.Is(err, helper.Unknown) {
		t.Error(err)
	}
	// A program that does not know lookups must not let anybody in by them.
	if _, err := p.User("old"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}
