package authcmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// passwordFlag adds --password-file. There is no flag for the password itself:
// every user of the host can read the arguments of every process.
func passwordFlag(cmd *cobra.Command) {
	cmd.Flags().String("password-file", "", "read the password from the first line of `file` instead of standard input")
}

// readPassword takes the password from --password-file, from a terminal
// without echo (twice if it is to be stored), or from a line of standard input.
func readPassword(cmd *cobra.Command, store bool) (string, error) {
	file, err := cmd.Flags().GetString("password-file")
	if err != nil {
		return "", err
	}
	var password string
	switch in, terminal := terminalOf(cmd); {
	case file != "":
		password, err = conf.SecretFile(file).Read()
	case terminal:
		password, err = askTerminal(cmd, in, store)
	default:
		password, err = readLine(cmd.InOrStdin())
	}
	if err != nil {
		return "", err
	}
	return password, checkPassword(password)
}

func checkPassword(password string) error {
	switch {
	case password == "":
		return fail.New(fail.Invalid, "the password is empty")
	case len(password) > sasl.MaxPassword:
		return fail.New(fail.Invalid, "the password is longer than %d bytes, more than clients can send", sasl.MaxPassword)
	case strings.ContainsAny(password, "\x00\r\n"):
		return fail.New(fail.Invalid, "the password contains NUL or a line end")
	}
	return nil
}

// readLine reads one line without its end.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fail.Wrap(fail.Temporary, err, "reading the password")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func terminalOf(cmd *cobra.Command) (*os.File, bool) {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok {
		return nil, false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return f, err == nil
}

func askTerminal(cmd *cobra.Command, in *os.File, twice bool) (string, error) {
	first, err := askOnce(cmd, in, "Password: ")
	if err != nil || !twice {
		return first, err
	}
	second, err := askOnce(cmd, in, "Again: ")
	if err == nil && first != second {
		err = fail.New(fail.Invalid, "the passwords differ")
	}
	return first, err
}

// askOnce turns echo off for one line; a signal turns it on again before it
// takes its course.
func askOnce(cmd *cobra.Command, in *os.File, prompt string) (string, error) {
	fd := int(in.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", err
	}
	silent := *before
	silent.Lflag &^= unix.ECHO
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &silent); err != nil {
		return "", err
	}
	restore := func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case s := <-signals:
			restore()
			signal.Reset(s)
			if n, ok := s.(syscall.Signal); ok {
				_ = syscall.Kill(os.Getpid(), n)
			}
		case <-done:
		}
	}()
	line, err := readLine(in)
	close(done)
	signal.Stop(signals)
	restore()
	fmt.Fprintln(cmd.ErrOrStderr())
	return line, err
}
