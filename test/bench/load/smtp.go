package load

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"strings"
)

// SMTP is a client of SMTP or LMTP. It sends an envelope in one write.
type SMTP struct {
	conn
	lmtp bool
}

// DialSMTP connects and says EHLO, or LHLO to an LMTP server.
func DialSMTP(address string, lmtp bool) (*SMTP, error) {
	nc, err := dial(address, Options{Buffer: 4 << 10})
	if err != nil {
		return nil, err
	}
	c := &SMTP{conn: nc, lmtp: lmtp}
	if err = c.expect("2"); err == nil {
		err = c.hello()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *SMTP) hello() error {
	if c.lmtp {
		return c.Command("LHLO load.test")
	}
	return c.Command("EHLO load.test")
}

// StartTLS encrypts the connection; the certificate is not looked at.
func (c *SMTP) StartTLS() error {
	if err := c.Command("STARTTLS"); err != nil {
		return err
	}
	c.nc = tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is our own
	c.r.Reset(c.nc)
	return c.hello()
}

// Command sends one command, whose reply must be 2xx.
func (c *SMTP) Command(command string) error {
	if err := c.writeString("%s\r\n", command); err != nil {
		return err
	}
	return c.expect("2")
}

// expect reads one reply, which must begin with code.
func (c *SMTP) expect(code string) error {
	for {
		l, err := c.line()
		if err != nil {
			return err
		}
		if len(l) > 3 && l[3] == '-' {
			continue
		}
		if !bytes.HasPrefix(l, []byte(code)) {
			return fmt.Errorf("reply %.100q", l)
		}
		return nil
	}
}

// Send hands in a message; body is as Stuffed makes it.
func (c *SMTP) Send(from string, to []string, body []byte) error {
	var b strings.Builder
	fmt.Fprintf(&b, "MAIL FROM:<%s>\r\n", from)
	for _, r := range to {
		fmt.Fprintf(&b, "RCPT TO:<%s>\r\n", r)
	}
	b.WriteString("DATA\r\n")
	if err := c.writeString("%s", b.String()); err != nil {
		return err
	}
	for range 1 + len(to) {
		if err := c.expect("2"); err != nil {
			return err
		}
	}
	if err := c.expect("3"); err != nil {
		return err
	}
	if _, err := c.nc.Write(body); err != nil {
		return err
	}
	replies := 1
	if c.lmtp {
		replies = len(to)
	}
	for range replies {
		if err := c.expect("2"); err != nil {
			return err
		}
	}
	return nil
}

// Quit ends the session.
func (c *SMTP) Quit() error {
	defer c.Close()
	return c.Command("QUIT")
}

// Stuffed is a message as it follows DATA, up to the final dot.
func Stuffed(message []byte) []byte {
	b := bytes.ReplaceAll(message, []byte("\n."), []byte("\n.."))
	if bytes.HasPrefix(b, []byte(".")) {
		b = append([]byte("."), b...)
	}
	return append(b[:len(b):len(b)], ".\r\n"...)
}
