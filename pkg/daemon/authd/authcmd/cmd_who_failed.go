package authcmd

import (
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func whoFailedCommand() *cobra.Command {
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "who-failed",
		Short: "List the last refused logins",
		Long: "Lists logins that the running daemon has refused, the latest first, and how long the same address would have to wait " +
			"now before it may try the same account again. The daemon remembers the last 2000; the log has them all.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			if !asJSON {
				fmt.Fprintln(out, "time\tuser\taddress\tservice\tpenalty\treason")
			}
			err := each(cmd, VerbFailed, []string{strconv.Itoa(count)}, func(f Failed, text []byte) error {
				if asJSON {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
					return err
				}
				penalty := time.Duration(f.Penalty * float64(time.Second))
				_, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Time.Format(time.DateTime), orDash(f.User), orDash(f.Addr), orDash(f.Service), penalty, f.Reason)
				return err
			})
			if err != nil {
				return err
			}
			return out.Flush()
		},
	}
	cmd.Flags().IntVarP(&count, "count", "n", 50, "at most this `number`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each line")
	return cmd
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
