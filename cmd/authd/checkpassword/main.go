// Command authd-checkpassword answers one request of authd by running a
// checkpassword program (https://cr.yp.to/checkpwd/interface.html, with
// Dovecot's additions), and ends. It is a unit of its own
// (authd-checkpassword.socket), off by default; the program comes from that
// unit's command line alone.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/postcote/postcote/pkg/identity/helper"
)

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "authd-checkpassword:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[1] == replyWord:
		return reply(os.Environ())
	case len(args) < 2 || args[1][0] != '/':
		return fmt.Errorf("usage: authd-checkpassword /path/of/program [argument]..., with a socket as standard input; see docs/authd/system.md")
	}
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		return fmt.Errorf("standard input is no socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return helper.Serve(conn, program{argv: args[1:], reply: []string{self, replyWord}})
}
