package postfixcmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const postcatOptions = "bc:dehoqv"

const postcatUsage = "usage: postcat [-b (body text)] [-c config_dir] [-d (decimal record type)] [-e (envelope records)] [-h (header text)] " +
	"[-q (access queue)] [-v] [file(s)...]"

// postcat is postcat(1) for messages that are named by queue id.
func (t *tool) postcat(ctx context.Context, args []string) int {
	opts, ids, bad := getopt(args, postcatOptions)
	if bad != 0 {
		t.badOption(postcatOptions, bad)
		return t.fatal(exitError, "%s", postcatUsage)
	}
	c := cat{w: bufio.NewWriterSize(t.Stdout, blockSize)}
	byID := false
	for _, o := range opts {
		switch o.letter {
		case 'b':
			c.body = true
		case 'c':
			t.configure(o.value)
		case 'e':
			c.envelope = true
		case 'h':
			c.header = true
		case 'q':
			byID = true
		}
	}
	if !byID {
		return t.fatal(exitError, "mtad keeps no file for each message: name queue ids, with -q")
	}
	if !c.body && !c.envelope && !c.header {
		c.body, c.envelope, c.header = true, true, true
	}
	for _, id := range ids {
		err := c.print(id, func(parts []string, fn func(json.RawMessage) error) error {
			return t.ask(ctx, true, queuecmd.VerbShow, append([]string{id}, parts...), fn)
		})
		if ferr := c.w.Flush(); err == nil {
			err = ferr
		}
		switch {
		case err == nil:
		case fail.Is(err, fail.NotFound):
			return t.fatal(exitError, "open queue file %s: No such file or directory", id)
		case fail.Is(err, fail.Denied):
			return t.fatal(exitError, "open queue file %s: Permission denied", id)
		case fail.Is(err, fail.Invalid):
			return t.fatal(exitError, "bad mail queue ID: %s", id)
		default:
			return t.fatal(exitError, "%v", err)
		}
	}
	return exitOK
}

// cat prints messages in the form of Postfix's postcat.
type cat struct {
	w                      *bufio.Writer
	envelope, header, body bool
	path                   string
	inBody                 bool
}

func (c *cat) print(id string, ask func(parts []string, fn func(json.RawMessage) error) error) error {
	c.inBody = false
	parts := []string{"envelope"} // says in which queue the message is
	if c.header {
		parts = append(parts, "headers")
	}
	if c.body {
		parts = append(parts, "body")
	}
	if err := ask(parts, c.value); err != nil {
		return err
	}
	if c.body && !c.inBody {
		c.w.WriteString("\n")
	}
	c.mark("HEADER EXTRACTED")
	c.mark("MESSAGE FILE END")
	return nil
}

func (c *cat) mark(what string) {
	if c.envelope {
		fmt.Fprintf(c.w, "*** %s %s ***\n", what, c.path)
	}
}

func (c *cat) value(raw json.RawMessage) error {
	var v queuecmd.Shown
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	switch {
	case v.Envelope != nil:
		c.path = v.Envelope.QueueName + "/" + v.Envelope.QueueID
		if c.envelope {
			c.records(v.Envelope)
		}
	case len(v.Headers) > 0:
		c.w.Write(unixLines(v.Headers))
	default:
		if !c.inBody {
			c.w.WriteString("\n")
			c.inBody = true
		}
		c.w.Write(unixLines(v.Body))
	}
	return nil
}

func unixLines(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }

// records are the envelope, with Postfix's names.
func (c *cat) records(f *queuecmd.Facts) {
	line := func(name, value string) { fmt.Fprintf(c.w, "%s: %s\n", name, oneLine(value)) }
	attribute := func(name, value string) {
		if value != "" {
			line("named_attribute", name+"="+value)
		}
	}
	c.mark("ENVELOPE RECORDS")
	line("message_size", fmt.Sprintf("%15d %15d %15d %15d %15d %15d", f.MessageSize, 0, len(f.Recipients), 0, f.MessageSize, 0))
	at := time.Unix(f.ArrivalTime, 0).Format(time.ANSIC)
	line("message_arrival_time", at)
	line("create_time", at)
	attribute("log_ident", f.QueueID)
	context := "local"
	if f.Client != "" {
		context = "remote"
	}
	attribute("rewrite_context", context)
	attribute("envelope_id", f.EnvelopeID)
	attribute("ret_flags", f.Return)
	attribute("sasl_method", f.Method)
	attribute("sasl_username", f.User)
	sender := f.Sender
	if f.NullSender {
		sender = ""
	}
	line("sender", sender)
	attribute("log_client", f.Client)
	attribute("log_helo_name", f.Helo)
	attribute("log_protocol_name", f.Protocol)
	attribute("origin", f.Origin)
	for i, r := range f.Recipients {
		if i < len(f.Requests) {
			attribute("dsn_orig_rcpt", f.Requests[i].ORCPT)
			attribute("notify_flags", f.Requests[i].Notify)
			if o := f.Requests[i].Original; o != "" {
				line("original_recipient", o)
			} else {
				line("original_recipient", r.Address)
			}
		}
		kind := "recipient"
		if r.Status == "delivered" || r.Status == "failed" || r.Status == "expired" {
			kind = "done_recipient"
		}
		line(kind, r.Address)
	}
	c.mark("MESSAGE CONTENTS")
}
