package queuecmd

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) checkCommand() *cobra.Command {
	var repair, asJSON bool
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
			if asJSON {
				return printReport(cmd, r, repair)
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
			return verdict(r, repair)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&repair, "repair", false, "move what is damaged aside")
	return cmd
}

// verdict is an error if damage was found and left.
func verdict(r *queue.CheckReport, repair bool) error {
	if len(r.Damage) == 0 || repair {
		return nil
	}
	return fail.New(fail.Corrupt, "the queue is damaged in %d places", len(r.Damage))
}

func printReport(cmd *cobra.Command, r *queue.CheckReport, repair bool) error {
	out := struct {
		Messages int      `json:"messages"`
		Bytes    int64    `json:"bytes"`
		Segments int      `json:"segments"`
		Orphans  int      `json:"unfinished_submissions"`
		Unlisted int      `json:"unlisted_messages"`
		Repaired int      `json:"repaired_messages"`
		Damage   []string `json:"damage"`
	}{r.Messages, r.Bytes, r.Segments, r.Orphans, r.Unlisted, r.Repaired, []string{}}
	for _, d := range r.Damage {
		out.Damage = append(out.Damage, d.Error())
	}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(out); err != nil {
		return err
	}
	return verdict(r, repair)
}
