package queuecmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) checkCommand() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Verify every byte of the queue's files, with the daemon stopped",
		Long: "Reads all files of the queue and compares every checksum. The daemon must not be running.\n" +
			"With --repair damaged stretches and messages are moved to the folder damaged of the queue, nothing is deleted;\n" +
			"messages that a damaged state log has lost come back on hold.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := h.Config(cmd)
			if err != nil {
				return err
			}
			r, err := queue.Check(cmd.Context(), cfg, repair)
			if fail.Is(err, fail.Unavailable) {
				return fail.Wrap(fail.Unavailable, err, "stop the daemon first")
			}
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, d := range r.Damage {
				fmt.Fprintln(out, d)
			}
			fmt.Fprintf(out, "%d message%s, %d bytes, %d segment%s\n", r.Messages, plural(r.Messages), r.Bytes, r.Segments, plural(r.Segments))
			if r.Orphans > 0 {
				fmt.Fprintf(out, "%d unfinished submission%s; the daemon removes them when it starts\n", r.Orphans, plural(r.Orphans))
			}
			if r.Unlisted > 0 {
				fmt.Fprintf(out, "%d message%s found only in the segments; on hold after a repair or a start\n", r.Unlisted, plural(r.Unlisted))
			}
			if repair && r.Repaired > 0 {
				fmt.Fprintf(out, "%d damaged message%s moved to %s/damaged\n", r.Repaired, plural(r.Repaired), cfg.Dir)
			}
			if len(r.Damage) > 0 && !repair {
				return fail.New(fail.Corrupt, "the queue %s is damaged in %d places", cfg.Dir, len(r.Damage))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "move what is damaged aside")
	return cmd
}
