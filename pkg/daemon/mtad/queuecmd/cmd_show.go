package queuecmd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

func (h Host) showCommand() *cobra.Command {
	var envelope, headers, body, asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Print envelope, header and body of a queued message",
		Long:  "Prints envelope, header and body of a queued message, or those of them that are asked for. Line ends are those of Unix.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !envelope && !headers && !body {
				envelope, headers, body = true, true, true
			}
			for _, p := range []struct {
				want bool
				name string
			}{{envelope, "envelope"}, {headers, "headers"}, {body, "body"}} {
				if p.want {
					args = append(args, p.name)
				}
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if asJSON {
				defer out.Flush()
				return h.each(cmd, VerbShow, args, func(raw json.RawMessage) error {
					_, err := out.Write(append(raw[:len(raw):len(raw)], '\n'))
					return err
				})
			}
			s := shower{w: out}
			err := h.each(cmd, VerbShow, args, s.value)
			if err == nil && headers && body && !s.inBody {
				_, err = out.WriteString("\n") // a message without body
			}
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON objects: one with the envelope, then pieces of header and body in base64")
	f.BoolVar(&envelope, "envelope", false, "print the envelope and the state of each recipient")
	f.BoolVar(&headers, "headers", false, "print the message's header")
	f.BoolVar(&body, "body", false, "print the message's body")
	return cmd
}

// shower prints the answer as it arrives.
type shower struct {
	w         *bufio.Writer
	inHeaders bool
	inBody    bool
}

func (s *shower) value(raw json.RawMessage) error {
	var v Shown
	if err := json.Unmarshal(raw, &v); err != nil {
		return err
	}
	if v.Envelope != nil {
		printFacts(s.w, v.Envelope)
		_, err := s.w.WriteString("\n")
		return err
	}
	if len(v.Headers) > 0 {
		s.inHeaders = true
		_, err := s.w.Write(unixLines(v.Headers))
		return err
	}
	if !s.inBody && s.inHeaders {
		if _, err := s.w.WriteString("\n"); err != nil {
			return err
		}
	}
	s.inBody = true
	_, err := s.w.Write(unixLines(v.Body))
	return err
}

// unixLines works piece by piece: a piece never ends between CR and LF unless
// it is a very long line.
func unixLines(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")) }

func printFacts(w io.Writer, f *Facts) {
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name+":", clean(value))
		}
	}
	line("queue_id", f.QueueID)
	line("state", f.QueueName)
	line("sender", f.Sender)
	line("arrival", time.Unix(f.ArrivalTime, 0).Format(time.RFC3339))
	line("size", fmt.Sprint(f.MessageSize))
	if f.NextAttempt > 0 {
		line("next_attempt", time.Unix(f.NextAttempt, 0).Format(time.RFC3339))
	}
	line("client", f.Client)
	line("helo", f.Helo)
	line("protocol", f.Protocol)
	line("origin", f.Origin)
	line("user", f.User)
	line("method", f.Method)
	line("envelope_id", f.EnvelopeID)
	line("return", f.Return)
	for _, flag := range []struct {
		set  bool
		name string
	}{{f.SMTPUTF8, "smtputf8"}, {f.EightBit, "8bitmime"}, {f.RequireTLS, "require_tls"}, {f.ForcedExpire, "forced_expire"}, {f.Damaged, "damaged"}} {
		if flag.set {
			line(flag.name, "yes")
		}
	}
	for i, r := range f.Recipients {
		line("recipient", r.Address+" "+r.Status)
		line("  code", r.Code)
		line("  reason", r.DelayReason)
		if i < len(f.Requests) {
			line("  original", f.Requests[i].Original)
			line("  orcpt", f.Requests[i].ORCPT)
			line("  notify", f.Requests[i].Notify)
		}
	}
}
