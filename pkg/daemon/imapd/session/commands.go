package session

import (
	"context"
	"encoding/json"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/service"
)

// Commands are imapd's own verbs of the command line.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		whoCommand(), kickCommand(), mailboxCommand(), takeoverCommand(),
		plainCommand("release USER", "flush a user's mail and give it up, so that another server may take over", "RELEASE", cobra.ExactArgs(1)),
		freezeCommand(), flushCommand(),
	}
}

func flushCommand() *cobra.Command {
	return plainCommand("flush [USER...]", "write pending flag changes into the mail folders", "FLUSH", cobra.ArbitraryArgs)
}

// plainCommand sends a verb with users and prints the answer.
func plainCommand(use, short, verb string, args cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, verb, args, func(raw []json.RawMessage) error {
				for _, v := range raw {
					fmt.Fprintln(cmd.OutOrStdout(), string(v))
				}
				return nil
			})
		},
	}
}

func freezeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "freeze USER", Short: "hold a user's mail still until interrupted, for a backup", Args: cobra.ExactArgs(1),
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
					fmt.Fprintln(cmd.OutOrStdout(), string(v))
				}
				return nil
			})
			if ctx.Err() != nil {
				return nil // interrupted: the wanted end
			}
			return err
		},
	}
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
