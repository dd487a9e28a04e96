package queuecmd

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/mta/queue"
)

// Top is the answer to VerbTop: what the queue holds, by destination and by
// the reason that keeps it there.
type Top struct {
	Time         int64               `json:"time"`
	Messages     int                 `json:"messages"`
	Recipients   int                 `json:"recipients"`
	Rows         []TopRow            `json:"rows"`
	Destinations []queue.Destination `json:"destinations"` // that are in use, down or paused
}

// TopRow are the waiting recipients of one domain with one reason.
type TopRow struct {
	Domain     string `json:"domain"`
	Reason     string `json:"reason,omitempty"`
	Recipients int    `json:"recipients"`
	Oldest     int64  `json:"oldest"` // arrival
}

func (h Host) topCommand() *cobra.Command {
	var asJSON bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show what waits, by destination and reason",
		Long: "Shows which domains and reasons keep the most recipients in the queue, and which next hops are in use, down or paused. " +
			"With --every the screen is renewed until interrupted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for {
				out := bufio.NewWriter(cmd.OutOrStdout())
				if every > 0 && !asJSON {
					out.WriteString("\x1b[H\x1b[2J") // home, clear
				}
				err := h.each(cmd, VerbTop, nil, func(raw json.RawMessage) error {
					if asJSON {
						_, err := fmt.Fprintf(out, "%s\n", raw)
						return err
					}
					var t Top
					err := json.Unmarshal(raw, &t)
					printTop(out, &t)
					return err
				})
				if ferr := out.Flush(); err == nil {
					err = ferr
				}
				if err != nil || every <= 0 {
					return err
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().DurationVar(&every, "every", 0, "show it again after so long, such as 2s")
	return cmd
}

func printTop(w io.Writer, t *Top) {
	fmt.Fprintf(w, "%d message%s, %d recipient%s\n", t.Messages, plural(t.Messages), t.Recipients, plural(t.Recipients))
	if len(t.Rows) > 0 {
		fmt.Fprintf(w, "\n%10s %8s  %-30s %s\n", "RECIPIENTS", "OLDEST", "DOMAIN", "REASON")
	}
	for _, r := range t.Rows {
		age := time.Unix(t.Time, 0).Sub(time.Unix(r.Oldest, 0))
		fmt.Fprintf(w, "%10d %8s  %-30s %s\n", r.Recipients, ago(age), clean(r.Domain), clean(r.Reason))
	}
	if len(t.Destinations) > 0 {
		fmt.Fprintf(w, "\n%7s %7s %7s  %-36s %s\n", "RUNNING", "ALLOWED", "WAITING", "NEXT HOP", "STATE")
	}
	for i := range t.Destinations {
		d := &t.Destinations[i]
		state := d.Reason
		if !d.Down.IsZero() {
			state = "down until " + d.Down.Format(time.TimeOnly) + ": " + d.Reason
		}
		fmt.Fprintf(w, "%7d %7d %7d  %-36s %s\n", d.Running, d.Window, d.Waiting, clean(d.Transport+":"+d.NextHop), clean(state))
	}
}

// ago is a span in one unit.
func ago(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", max(d, 0)/time.Second)
}
