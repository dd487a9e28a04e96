package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/proto/program"
)

func TestForwardFiles(t *testing.T) {
	dir := t.TempDir()
	home, etc := filepath.Join(dir, "joe"), filepath.Join(dir, "etc")
	for _, d := range []string{home, etc, filepath.Join(home, "lists")} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, path string) {
		t.Helper()
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	write(home+"/.forward", "plain", 0o600)
	write(home+"/.forward+x", "with x", 0o600)
	write(home+"/.forward+open", "", 0o666)
	write(home+"/.forward+large", strings.Repeat("x", program.MaxForward+1), 0o600)
	write(home+"/lists/friends", "ann", 0o600)
	write(etc+"/secret", "secret", 0o600)
	write(etc+"/ann", "from etc", 0o644)
	link("lists/friends", home+"/.forward+inside")
	link(etc+"/secret", home+"/.forward+outside")
	link("loop", home+"/loop")
	link(etc, home+"/etc")
	if err := syscall.Mkfifo(home+"/.forward+pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	uid := uint32(os.Getuid())
	cfg := load(t, `forward_path: ["${home}/.forward+${extension}", "`+etc+`/${user}", "${home}/.forward"]`)
	ask := func(to, include string, uid uint32) string {
		f := forwarder{cfg: cfg, find: func(name string) (account, bool, error) {
			h, ok := map[string]string{"joe": home, "ann": dir + "/nohome"}[name]
			return account{name, h, uid}, ok, nil
		}}
		r := program.Request{Ask: program.AskForward, File: include, Recipients: []program.Recipient{{Address: to}}}
		if include != "" {
			r.Ask = program.AskInclude
		}
		got := f.answer(r)
		if got.Exit != 0 {
			return got.Output
		}
		return strings.ReplaceAll(got.Output, dir, "")
	}
	for _, tc := range []struct{ to, include, want string }{
		{"joe@x.example", "", "path=/joe/.forward\nsize=5\n\nplain"},
		{"JOE@x.example", "", "path=/joe/.forward\nsize=5\n\nplain"},
		{"joe+x@x.example", "", "path=/joe/.forward+x\nextension=yes\nsize=6\n\nwith x"},
		{"joe+none@x.example", "", "path=/joe/.forward\nsize=5\n\nplain"},
		{"joe+../../etc/ann@x.example", "", "path=/joe/.forward\nsize=5\n\nplain"},
		{"joe+inside@x.example", "", "path=/joe/.forward+inside\nextension=yes\nsize=3\n\nann"},
		{"joe+open@x.example", "", "file " + home + "/.forward+open is world writable"},
		{"joe+large@x.example", "", "is larger than"},
		{"joe+outside@x.example", "", "leads out of the home of joe"},
		{"joe+pipe@x.example", "", "is not a regular file"},
		{"ann@x.example", "", "path=/etc/ann\nsize=8\n\nfrom etc"},
		{"nobody@x.example", "", ""},
		{`"../joe"@x.example`, "", ""},
		{"joe@x.example", home + "/lists/friends", "path=/joe/lists/friends\nsize=3\n\nann"},
		{"joe@x.example", home + "/lists", "is not a regular file"},
		{"joe@x.example", home + "/missing", ""},
		{"joe@x.example", home + "/etc/secret", "leads out of the home of joe"},
		{"joe@x.example", home + "/loop", "leads out of the home of joe"},
		{"joe@x.example", etc + "/secret", "leads out of the home of joe"},
	} {
		if got := ask(tc.to, tc.include, uid); got != tc.want && (tc.want == "" || !strings.HasSuffix(got, tc.want) && !strings.Contains(got, "is larger than")) {
			t.Errorf("%s %s:\n got %q\nwant %q", tc.to, tc.include, got, tc.want)
		}
	}
	if got := ask("joe@x.example", "", uid+1); uid != 0 && !strings.Contains(got, "has bad owner uid") || uid == 0 && !strings.Contains(got, "is root's") {
		t.Errorf("somebody else's file: %q", got)
	}
}

// The helper says over its socket what it says to a caller.
func TestForwardOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			err = serve(c, load(t, `forward_path: ["/nonexistent/${user}"]`))
			c.Close()
		}
		done <- err
	}()
	if _, err := program.Forward(t.Context(), path, "root@ours.example", ""); err == nil || !strings.Contains(err.Error(), "no .forward file") {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
