package load

import (
	"bytes"
	"fmt"
	"strconv"
)

// IMAP is a client.
type IMAP struct {
	conn
	tag string
	seq int
	// Exists is the size of the selected mailbox, Untagged how many untagged
	// answers the last command had.
	Exists, Untagged int
	// Hits is how many numbers the last SEARCH answer had.
	Hits int
}

// DialIMAP connects and waits for the greeting.
func DialIMAP(address string, o Options) (*IMAP, error) {
	nc, err := dial(address, o)
	if err != nil {
		return nil, err
	}
	c := &IMAP{conn: nc}
	l, err := c.line()
	if err == nil && !bytes.HasPrefix(l, []byte("* OK")) {
		err = fmt.Errorf("greeting %.60q", l)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// LoginIMAP is DialIMAP and LOGIN.
func LoginIMAP(address string, o Options, user, password string) (*IMAP, error) {
	c, err := DialIMAP(address, o)
	if err != nil {
		return nil, err
	}
	if err := c.Command("LOGIN %s %s", user, password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Command sends a command and waits for its end, which must be OK.
func (c *IMAP) Command(format string, args ...any) error {
	if err := c.send(format, args...); err != nil {
		return err
	}
	_, err := c.finish(false)
	return err
}

func (c *IMAP) send(format string, args ...any) error {
	c.seq++
	c.tag = "a" + strconv.Itoa(c.seq)
	c.Bytes, c.Untagged, c.Hits = 0, 0, 0
	return c.writeString(c.tag+" "+format+"\r\n", args...)
}

// finish reads to the end of the command, or to the request for more.
func (c *IMAP) finish(more bool) (bool, error) {
	for {
		l, err := c.line()
		if err != nil {
			return false, err
		}
		switch {
		case l[0] == '*':
			c.Untagged++
			if err := c.untagged(l); err != nil {
				return false, err
			}
		case l[0] == '+' && more:
			return true, nil
		case bytes.HasPrefix(l, []byte(c.tag+" OK")):
			return false, nil
		default:
			return false, fmt.Errorf("answer %.100q", l)
		}
	}
}

// untagged takes what is wanted from an answer that begins with l, and skips
// what follows of it in literals.
func (c *IMAP) untagged(l []byte) error {
	switch {
	case bytes.HasSuffix(l, []byte(" EXISTS\r\n")):
		n, err := strconv.Atoi(string(l[2 : len(l)-len(" EXISTS\r\n")]))
		if err != nil {
			return err
		}
		c.Exists = n
		return nil
	case bytes.HasPrefix(l, []byte("* SEARCH")):
		c.Hits = len(bytes.Fields(l)) - 2
		return nil
	}
	for {
		n, ok := literal(l)
		if !ok {
			return nil
		}
		if err := c.skip(n); err != nil {
			return err
		}
		var err error
		if l, err = c.line(); err != nil {
			return err
		}
	}
}

// literal reads {123} at the end of a line.
func literal(l []byte) (int64, bool) {
	if !bytes.HasSuffix(l, []byte("}\r\n")) {
		return 0, false
	}
	i := bytes.LastIndexByte(l, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(l[i+1:len(l)-3]), 10, 64)
	return n, err == nil && n >= 0
}

// Append stores a message.
func (c *IMAP) Append(mailbox string, message []byte) error {
	if err := c.send("APPEND %s {%d}", mailbox, len(message)); err != nil {
		return err
	}
	if more, err := c.finish(true); err != nil || !more {
		return fmt.Errorf("APPEND: no request for the message (%w)", err)
	}
	if _, err := c.nc.Write(append(message[:len(message):len(message)], "\r\n"...)); err != nil {
		return err
	}
	_, err := c.finish(false)
	return err
}

// Idle starts IDLE and returns when the server waits.
func (c *IMAP) Idle() error {
	if err := c.send("IDLE"); err != nil {
		return err
	}
	more, err := c.finish(true)
	if err == nil && !more {
		err = fmt.Errorf("IDLE: ended at once")
	}
	return err
}

// Pushed waits for an untagged EXISTS.
func (c *IMAP) Pushed() error {
	for {
		l, err := c.line()
		if err != nil {
			return err
		}
		if bytes.HasSuffix(l, []byte(" EXISTS\r\n")) {
			return nil
		}
	}
}

// Logout ends the session.
func (c *IMAP) Logout() error {
	defer c.Close()
	return c.Command("LOGOUT")
}
