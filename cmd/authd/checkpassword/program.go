package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

const (
	replyWord = "reply" // argument with which this program runs as the last one of the chain
	timeout   = 60 * time.Second
	maxReply  = dovecotauth.MaxLine
)

// Exit codes of the interface; Dovecot added 3.
const (
	exitMismatch = 1
	exitUnknown  = 3
)

// program runs a checkpassword program. It reads name, password and time stamp
// from descriptor 3 and, if they are right, executes the command at the end of
// its arguments: ourselves, who report its environment on descriptor 4.
type program struct {
	argv  []string
	reply []string
}

// Auth checks a password.
func (p program) Auth(r helper.Request) (helper.Answer, error) {
	return p.run(r, r.Password, "AUTH_SERVICE="+r.Service, "SERVICE="+r.Service, "PROTO=TCP",
		"TCPREMOTEIP="+r.Fields.Get("rip"), "TCPLOCALIP="+r.Fields.Get("lip"))
}

// User looks a user up without a password: Dovecot's AUTHORIZED=1, to which
// the program must answer AUTHORIZED=2, so that one that does not know of it
// lets nobody in.
func (p program) User(name string) (helper.Answer, error) {
	a, err := p.run(helper.Request{User: name}, "", "AUTHORIZED=1")
	if err == nil && a.Fields.Get("authorized") != "2" {
		return helper.Answer{}, fail.New(fail.Unavailable, "program %s knows no lookups (no AUTHORIZED=2)", p.argv[0])
	}
	return lookupFields(a), err
}

func (p program) run(r helper.Request, password string, env ...string) (helper.Answer, error) {
	if strings.ContainsRune(r.User+password, 0) {
		return helper.Answer{}, helper.Mismatch
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	in, feed, err := os.Pipe()
	if err != nil {
		return helper.Answer{}, fail.Wrap(fail.Unavailable, err, "pipe")
	}
	answers, out, err := os.Pipe()
	if err != nil {
		return helper.Answer{}, fail.Wrap(fail.Unavailable, err, "pipe")
	}
	argv := append(append([]string{}, p.argv[1:]...), p.reply...)
	cmd := exec.CommandContext(ctx, p.argv[0], argv...)
	cmd.ExtraFiles = []*os.File{in, out}
	cmd.Env = append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, env...)
	cmd.Stderr = os.Stderr
	err = cmd.Start()
	_, _ = in.Close(), out.Close()
	if err != nil {
		return helper.Answer{}, fail.Wrap(fail.Unavailable, err, "program")
	}
	// At most 512 bytes by the interface, so the pipe takes them at once.
	_, _ = fmt.Fprintf(feed, "%s\x00%s\x00%d\x00", r.User, password, time.Now().Unix())
	_ = feed.Close()
	line, _ := io.ReadAll(io.LimitReader(answers, maxReply))
	return p.verdict(r.User, cmd.Wait(), line)
}

func (p program) verdict(user string, err error, line []byte) (helper.Answer, error) {
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitMismatch:
		return helper.Answer{}, helper.Mismatch
	case errors.As(err, &exit) && exit.ExitCode() == exitUnknown:
		return helper.Answer{}, helper.Unknown
	case err != nil:
		return helper.Answer{}, fail.Wrap(fail.Unavailable, err, "program %s", p.argv[0])
	}
	l, err := dovecotauth.Parse([]byte(strings.TrimSuffix(string(line), "\n")))
	if err != nil || l.Verb != "OK" {
		return helper.Answer{}, fail.New(fail.Unavailable, "program %s ended well without calling its last argument", p.argv[0])
	}
	return helper.Answer{User: user, Fields: l.Fields(0)}, nil
}

// reply is the end of the chain: it tells what the program put into the
// environment, as Dovecot's checkpassword-reply does.
func reply(env []string) error {
	vars := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	var params []string
	add := func(key, value string) {
		if value != "" {
			params = append(params, key+"="+value)
		}
	}
	add("user", vars["USER"])
	add("userdb_home", vars["HOME"])
	if a := vars["AUTHORIZED"]; a == "2" { // an answer to a lookup
		add("authorized", a)
	}
	for _, name := range strings.Fields(vars["EXTRA"]) {
		if name != "password" {
			add(name, vars[name])
		}
	}
	out := os.NewFile(4, "reply")
	_, err := out.Write(dovecotauth.AppendLine(nil, "OK", params...))
	return err
}

// lookupFields are those of a user database: without the prefix.
func lookupFields(a helper.Answer) helper.Answer {
	var fs dovecotauth.Fields
	for _, f := range a.Fields {
		if key, ok := strings.CutPrefix(f.Key, "userdb_"); ok {
			fs = fs.Add(key, f.Value)
		}
	}
	a.Fields = fs
	return a
}
