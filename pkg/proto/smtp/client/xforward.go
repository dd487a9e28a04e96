package client

import (
	"context"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// Forward is from whom a message was received, for a content filter behind
// this host (Postfix's XFORWARD_README). What is empty is not known.
type Forward struct {
	Name, Addr, Port string // of the client
	Proto, Helo      string
	Ident            string // queue id
	Source           string // LOCAL or REMOTE
}

// unknown is Postfix's name for a client that has none; it is not told.
const unknown = "unknown"

// groups are the attributes of each of the two commands; one line would
// be too long.
func (f *Forward) groups() [2][][2]string {
	address := f.Addr
	if strings.Contains(address, ":") {
		address = "IPV6:" + address
	}
	return [2][][2]string{
		{{"NAME", f.Name}, {"ADDR", address}, {"PORT", f.Port}},
		{{"PROTO", f.Proto}, {"HELO", f.Helo}, {"IDENT", f.Ident}, {"SOURCE", f.Source}},
	}
}

// forward tells the server, as far as it asks. That it refuses is no reason not
// to send.
func (c *Conn) forward(ctx context.Context, f *Forward) error {
	offered, ok := c.ext["XFORWARD"]
	if !ok || f == nil {
		return nil
	}
	known := strings.Fields(strings.ToUpper(offered))
	for _, group := range f.groups() {
		line := []byte("XFORWARD")
		for _, a := range group {
			if a[1] != "" && a != [2]string{"NAME", unknown} && slices.Contains(known, a[0]) {
				line = append(append(append(line, ' '), a[0]...), '=')
				line = wire.AppendXtext(line, a[1])
			}
		}
		if len(line) == len("XFORWARD") {
			continue
		}
		if _, err := c.command(ctx, StageForward, c.cfg.Timeouts.Mail, string(line)); err != nil {
			return err
		}
	}
	return nil
}
