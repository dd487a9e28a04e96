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
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Commands are imapd's own verbs of the command line.
func Commands() []*cobra.Command {
	return []*cobra.Command{
		whoCommand(), kickCommand(), mailboxCommand(), quotaCommand(), takeoverCommand(),
		releaseCommand(), freezeCommand(), flushCommand(),
	}
}

// configOf is the configuration of the session role, which owns the mail.
func configOf(cmd *cobra.Command) (*Config, error) {
	loaded, err := service.LoadConfig(cmd)
	if err != nil {
		return nil, err
	}
	cfg, ok := loaded.(*Config)
	if !ok {
		return nil, fail.New(fail.Invalid, "%s is not the session role's configuration; name that with -c", service.ConfigPath(cmd))
	}
	return cfg, nil
}

// dial connects to the session role: the login role does not know its verbs.
func dial(cmd *cobra.Command) (*control.Client, error) {
	if socket, err := cmd.Flags().GetString("control"); err != nil || socket == "" {
		if _, err := configOf(cmd); err != nil {
			return nil, err
		}
	}
	return service.Dial(cmd)
}

func releaseCommand() *cobra.Command {
	cmd := plainCommand("release USER", "Flush a user's mail and give it up, so that another server may take over", "RELEASE", cobra.ExactArgs(1))
	cmd.Long = "Ends a user's sessions, writes all that is pending into the mail folders, raises Dovecot's MODSEQs above ours, and gives up the lock on the mail. " +
		"Send the user's logins to the other server first: the next login that comes here takes the mail back."
	var dry bool
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list the sessions that would end, and change nothing")
	release := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !dry {
			return release(cmd, args)
		}
		asJSON, err := cmd.Flags().GetBool("json")
		if err != nil {
			return err
		}
		return ask(cmd, "WHO", []string{"user=" + exactly(args[0]).user}, func(raw []json.RawMessage) error {
			return printWho(cmd.OutOrStdout(), raw, asJSON)
		})
	}
	return cmd
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
		return d.Released + ": released, " + ended(d.Kicked)
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
			c, err := dial(cmd)
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
	c, err := dial(cmd)
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
