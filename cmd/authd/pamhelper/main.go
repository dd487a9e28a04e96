// Command authd-pam answers one request of authd and ends: it checks a
// password with PAM, or with --shadow against /etc/shadow, and looks users up
// through the system's name service. It is a unit of its own
// (authd-pam.socket, authd-shadow.socket), off by default, so that foreign
// modules and group shadow stay out of authd. It is the one program of
// Postcote that links C code.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"time"

	"github.com/postcote/postcote/pkg/identity/helper"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "authd-pam:", err)
		os.Exit(1)
	}
}

// run serves the connection that the socket unit hands over as standard input.
func run(args []string) error {
	var check checker = pamChecker{}
	switch {
	case len(args) == 1 && args[0] == "--shadow":
		check = helper.Shadow{File: "/etc/shadow", Now: time.Now}
	case len(args) > 0:
		return errors.New("usage: authd-pam [--shadow], with a socket as standard input; see docs/authd/system.md")
	}
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		return fmt.Errorf("standard input is no socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return helper.Serve(conn, backend{check})
}

// checker checks passwords.
type checker interface {
	Auth(r helper.Request) (helper.Answer, error)
}

// backend adds the name service to a checker.
type backend struct{ checker }

// User asks the name service, whatever it draws from.
func (backend) User(name string) (helper.Answer, error) {
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	switch {
	case errors.As(err, &unknown):
		return helper.Answer{}, helper.Unknown
	case err != nil:
		return helper.Answer{}, fail.Wrap(fail.Unavailable, err, "name service")
	}
	fs := dovecotauth.Fields{}.Add("uid", u.Uid).Add("gid", u.Gid)
	if u.HomeDir != "" {
		fs = fs.Add("home", u.HomeDir)
	}
	return helper.Answer{User: name, Fields: fs}, nil
}
