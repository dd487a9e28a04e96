package queuecmd

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// idsAtOnce keeps a request below the 1024 arguments of a control line.
const idsAtOnce = 1000

// changeCommands is the table of commands that change messages. The words at
// the end are postsuper's, for those that have one.
func (h Host) changeCommands() []*cobra.Command {
	var cmds []*cobra.Command
	for _, c := range []struct {
		name, verb, short, long, done string
		destination                   bool
	}{
		{"delete", VerbDelete, "Delete messages without telling their senders", "", "Deleted", false},
		{"hold", VerbHold, "Keep messages from being tried", "A delivery that is running ends first.", "Placed on hold", false},
		{"release", VerbRelease, "Let held messages go on", "", "Released from hold", false},
		{
			"flush", VerbFlush, "Try deferred messages now",
			"Tries deferred messages now and forgets which destinations are down. Without arguments all of them.", "Flushed", true,
		},
		{
			"requeue", VerbRequeue, "Treat messages as if they had just arrived",
			"Forgets reasons and attempts, rewrites addresses by the present configuration, finds a new route, and tries at once. Held messages are released. A message whose addresses change gets a new id.", "Requeued", true,
		},
		{
			"expire", VerbExpire, "Return messages to their senders",
			"Gives messages up as if they had been tried for as long as they may be: what is not delivered is returned.", "Force-expired", true,
		},
	} {
		var destination string
		var asJSON bool
		cmd := &cobra.Command{
			Use:   c.name + " ID...|ALL",
			Short: c.short,
			Long:  c.short + ". " + c.long,
			RunE: func(cmd *cobra.Command, ids []string) error {
				return h.change(cmd, c.verb, c.done, ids, destination, asJSON)
			},
		}
		cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
		if c.destination {
			cmd.Use = c.name + " [ID...|ALL]"
			cmd.Flags().StringVar(&destination, "destination", "", "messages with an unfinished recipient in this `domain`")
		}
		cmds = append(cmds, cmd)
	}
	return cmds
}

func (h Host) change(cmd *cobra.Command, verb, done string, ids []string, destination string, asJSON bool) error {
	switch {
	case destination != "" && len(ids) > 0:
		return fail.New(fail.Invalid, "name ids or a destination, not both")
	case destination != "":
		ids = []string{"destination=" + destination}
	case len(ids) == 0 && verb == VerbFlush:
		ids = []string{"ALL"}
	case len(ids) == 0:
		return fail.New(fail.Invalid, "name queue ids, or ALL")
	}
	var sum Changed
	var first error
	for len(ids) > 0 {
		n := min(len(ids), idsAtOnce)
		err := h.each(cmd, verb, ids[:n], func(raw json.RawMessage) error {
			var c Changed
			err := json.Unmarshal(raw, &c)
			sum.Changed += c.Changed
			sum.IDs = append(sum.IDs, c.IDs...)
			return err
		})
		ids = ids[n:]
		if err != nil && first == nil {
			first = err
		}
		if err != nil && !fail.Is(err, fail.NotFound) {
			break
		}
	}
	if asJSON {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(sum); err != nil && first == nil {
			first = err
		}
		return first
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d message%s\n", done, sum.Changed, plural(sum.Changed))
	return first
}
