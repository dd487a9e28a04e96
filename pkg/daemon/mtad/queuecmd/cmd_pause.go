package queuecmd

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Paused is the answer to VerbPaused.
type Paused struct {
	Paused []string `json:"paused"`
}

const pauseNames = "NAME is a next hop as the log and `queue top` show it, a transport with a colon behind it (\"smtp:\"), both (\"smtp:example.org\"), or ALL."

func (h Host) pauseCommands() []*cobra.Command {
	var asJSON bool
	pause := &cobra.Command{
		Use:   "pause [NAME]...",
		Short: "Stop deliveries to a destination, or list what is paused",
		Long:  "Stops deliveries to a destination until it is resumed, also after a restart. " + pauseNames + " What waits does not expire. Without a name, lists what is paused.",
		RunE: func(cmd *cobra.Command, names []string) error {
			for _, name := range names {
				if err := h.each(cmd, VerbPause, []string{name}, ignore); err != nil {
					return err
				}
			}
			if len(names) > 0 {
				return nil
			}
			return h.each(cmd, VerbPaused, nil, func(raw json.RawMessage) error {
				if asJSON {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
					return err
				}
				var p Paused
				err := json.Unmarshal(raw, &p)
				for _, name := range p.Paused {
					fmt.Fprintln(cmd.OutOrStdout(), clean(name))
				}
				return err
			})
		},
	}
	pause.Flags().BoolVar(&asJSON, "json", false, "print the list as one JSON object")
	resume := &cobra.Command{
		Use:   "resume NAME...",
		Short: "End a pause, and try what has waited",
		Long:  "Ends a pause, and tries what has waited. " + pauseNames,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			for _, name := range names {
				err := h.each(cmd, VerbResume, []string{name}, func(raw json.RawMessage) error {
					var c Changed
					err := json.Unmarshal(raw, &c)
					fmt.Fprintf(cmd.OutOrStdout(), "Resumed %s: %d message%s\n", strings.TrimSpace(name), c.Changed, plural(c.Changed))
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	return []*cobra.Command{pause, resume}
}

func ignore(json.RawMessage) error { return nil }
