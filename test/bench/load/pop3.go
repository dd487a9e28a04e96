package load

import (
	"bytes"
	"fmt"
	"strings"
)

// POP3 is a client.
type POP3 struct{ conn }

// LoginPOP3 connects and logs in.
func LoginPOP3(address string, o Options, user, password string) (*POP3, error) {
	nc, err := dial(address, o)
	if err != nil {
		return nil, err
	}
	c := &POP3{conn: nc}
	if err = c.ok(); err == nil {
		err = c.Command("USER %s", user)
	}
	if err == nil {
		err = c.Command("PASS %s", password)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *POP3) ok() error {
	l, err := c.line()
	if err == nil && !bytes.HasPrefix(l, []byte("+OK")) {
		err = fmt.Errorf("answer %.100q", l)
	}
	return err
}

// Command sends a command with an answer of one line, which must be +OK.
func (c *POP3) Command(format string, args ...any) error {
	if err := c.writeString(format+"\r\n", args...); err != nil {
		return err
	}
	return c.ok()
}

// List sends a command with an answer of many lines and counts them.
func (c *POP3) List(command string) (int, error) {
	if err := c.Command("%s", command); err != nil {
		return 0, err
	}
	return c.multiline()
}

// Retrieve takes the messages 1 to n, window at a time.
func (c *POP3) Retrieve(n, window int) error {
	for sent, got := 0, 0; got < n; got++ {
		var ask strings.Builder
		for ; sent < n && sent-got < window; sent++ {
			fmt.Fprintf(&ask, "RETR %d\r\n", sent+1)
		}
		if ask.Len() > 0 {
			if err := c.writeString("%s", ask.String()); err != nil {
				return err
			}
		}
		if err := c.ok(); err != nil {
			return err
		}
		if _, err := c.multiline(); err != nil {
			return err
		}
	}
	return nil
}

// Quit ends the session.
func (c *POP3) Quit() error {
	defer c.Close()
	return c.Command("QUIT")
}
