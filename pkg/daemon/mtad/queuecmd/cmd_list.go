package queuecmd

import (
	"bufio"
	"encoding/json"
	"strings"

	"github.com/spf13/cobra"
)

func (h Host) listCommand() *cobra.Command {
	var asJSON bool
	var state []string
	var sender, recipient, destination string
	cmd := &cobra.Command{
		Use:   "list [ID]...",
		Short: "List queued messages as mailq does",
		Long: "Lists queued messages in the form of Postfix's mailq: an id with * is being worked on, with ! is on hold, with # has been\n" +
			"given up by an operator; a reason in parentheses stands before the recipients it concerns.",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			args := append([]string(nil), ids...)
			for _, s := range state {
				args = append(args, "state="+s)
			}
			for key, value := range map[string]string{"sender": sender, "recipient": recipient, "destination": destination} {
				if value != "" {
					args = append(args, key+"="+value)
				}
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			if !asJSON {
				args = append(args, AsMailq)
			}
			var text []byte
			err := h.each(cmd, VerbList, args, func(raw json.RawMessage) error {
				if asJSON {
					_, err := out.Write(append(raw[:len(raw):len(raw)], '\n'))
					return err
				}
				var err error
				if text, err = AppendText(text[:0], raw); err == nil {
					_, err = out.Write(text)
				}
				return err
			})
			if ferr := out.Flush(); err == nil {
				err = ferr
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "one JSON object per message and line, as postqueue -j")
	f.StringSliceVar(&state, "state", nil, "only messages in this state: "+strings.Join(states(), ", "))
	f.StringVar(&sender, "sender", "", "only messages of this sender, <> for notifications")
	f.StringVar(&recipient, "recipient", "", "only messages to this recipient")
	f.StringVar(&destination, "destination", "", "only messages with a recipient in this domain")
	return cmd
}
