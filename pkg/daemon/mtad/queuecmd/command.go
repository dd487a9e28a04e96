package queuecmd

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Host is what the commands need of the program they are part of.
type Host struct {
	// Dial connects to the running daemon.
	Dial func(cmd *cobra.Command) (*control.Client, error)
	// Config names the queue for check: Settings, Dir and FS.
	Config func(cmd *cobra.Command) (queue.Config, error)
}

// Commands is the command `queue` with its verbs.
func Commands(h Host) []*cobra.Command {
	root := &cobra.Command{
		Use:   "queue",
		Short: "Look at the mail queue and change it",
		Long: "Look at the mail queue and change it. Messages are named by their queue ids, as the log shows them; ALL means every one.\n" +
			"All commands but check ask the running daemon.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(h.listCommand(), h.showCommand(), h.checkCommand(), h.topCommand())
	root.AddCommand(h.pauseCommands()...)
	root.AddCommand(h.changeCommands()...)
	return []*cobra.Command{root}
}

// each asks the daemon and hands over every value of the answer.
func (h Host) each(cmd *cobra.Command, verb string, args []string, fn func(json.RawMessage) error) error {
	c, err := h.Dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return c.Each(ctx, verb, args, fn)
}
