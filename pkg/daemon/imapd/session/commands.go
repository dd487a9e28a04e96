package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/service"
)

// Commands are imapd's own verbs of the command line.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		whoCommand(), kickCommand(), mailboxCommand(), quotaCommand(), takeoverCommand(),
		plainCommand("release USER", "Flush a user's mail and give it up, so that another server may take over", "RELEASE", cobra.ExactArgs(1)),
		freezeCommand(), flushCommand(),
	}
}

func flushCommand() *cobra.Command {
	return plainCommand("flush [USER...]", "Write pending flag changes into the mail folders", "FLUSH", cobra.ArbitraryArgs)
}

// done is the answer of RELEASE, FREEZE and FLUSH.
type done struct {
	Released string `json:"released"`
	Frozen   string `json:"frozen"`
	Flushed  string `json:"flushed"`
	Kicked   int    `json:"kicked"`
}

func (d done) String() string {
	switch {
	case d.Released != "":
		return fmt.Sprintf("%s: released, %d sessions ended", d.Released, d.Kicked)
	case d.Frozen != "":
		return d.Frozen + ": frozen until this command is interrupted"
	}
	return d.Flushed + ": flushed"
}

// printDone writes one answer for people or for programs.
func printDone(w io.Writer, v json.RawMessage, asJSON bool) error {
	if asJSON {
		return printRaw(w, []json.RawMessage{v})
	}
	var d done
	if err := json.Unmarshal(v, &d); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, d)
	return err
}

// plainCommand sends a verb with users and prints the answer.
func plainCommand(use, short, verb string, args cobra.PositionalArgs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, verb, args, func(raw []json.RawMessage) error {
				for _, v := range raw {
					if err := printDone(cmd.OutOrStdout(), v, asJSON); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func freezeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "freeze USER", Short: "Hold a user's mail still until interrupted, for a backup", Args: cobra.ExactArgs(1),
		Long: "Flushes a user's mail and keeps everybody from changing it until the command is interrupted: sessions and logins wait. " +
			"A backup begins when the first line has been printed. A command that is killed, or loses its connection, thaws as well.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			c, err := service.Dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			said := false
			err = c.Each(ctx, "FREEZE", args, func(v json.RawMessage) error {
				if !said {
					said = true
					return printDone(cmd.OutOrStdout(), v, asJSON)
				}
				return nil
			})
			if ctx.Err() != nil {
				return nil // interrupted: the wanted end
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as a JSON object")
	return cmd
}

// ask sends one verb and hands over the whole answer.
func ask(cmd *cobra.Command, verb string, args []string, use func([]json.RawMessage) error) error {
	c, err := service.Dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Minute)
	defer cancel()
	var all []json.RawMessage
	err = c.Each(ctx, verb, args, func(v json.RawMessage) error {
		all = append(all, append(json.RawMessage(nil), v...))
		return nil
	})
	if err != nil {
		return err
	}
	return use(all)
}
