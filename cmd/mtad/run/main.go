// Command mtad-run delivers one message of mtad to a program or a file, and
// ends. It is a unit of its own (mtad-run@.service behind a socket with
// Accept=yes), one for each Unix user that programs run as, off by default;
// mtad itself may not run anything. What may be run, and with which arguments,
// is in this helper's own configuration file, and nowhere else.
package main

import (
	"fmt"
	"net"
	"os"

	"github.com/postcote/postcote/pkg/platform/conf"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mtad-run:", err)
		os.Exit(1)
	}
}

const usage = "usage: mtad-run [--check] CONFIG, with a socket as standard input; see docs/mtad/routing.md"

func run(args []string) error {
	check := len(args) == 2 && args[0] == "--check"
	if check {
		args = args[1:]
	}
	if len(args) != 1 {
		return fmt.Errorf("%s", usage)
	}
	cfg := Default()
	if err := conf.Load(args[0], &cfg); err != nil {
		return err
	}
	if check {
		return nil
	}
	if os.Getuid() == 0 {
		return fmt.Errorf("programs do not run as root: set User= in the unit")
	}
	conn, err := net.FileConn(os.Stdin)
	if err != nil {
		return fmt.Errorf("standard input is no socket: %w", err)
	}
	defer func() { _ = conn.Close() }()
	return serve(conn, cfg)
}
