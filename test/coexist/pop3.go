package coexist

import (
	"fmt"
	"io"
	"net/textproto"
)

// uidls are the unique ids of all messages, as a POP3 server lists them.
func uidls(address, user, password string) ([]string, error) {
	c, err := textproto.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for _, command := range []string{"", "USER " + user, "PASS " + password, "UIDL"} {
		if command != "" {
			if err := c.PrintfLine("%s", command); err != nil {
				return nil, err
			}
		}
		answer, err := c.ReadLine()
		if err != nil {
			return nil, err
		}
		if len(answer) < 3 || answer[:3] != "+OK" {
			return nil, fmt.Errorf("POP3 at %s: %s", address, answer)
		}
	}
	list, err := c.ReadDotLines()
	if err != nil {
		return nil, err
	}
	if err := c.PrintfLine("QUIT"); err != nil {
		return nil, err
	}
	// The session is over when the server has closed the connection, and not
	// when it has said so.
	_, err = io.Copy(io.Discard, c.R)
	return list, err
}
