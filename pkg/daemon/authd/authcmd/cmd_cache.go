package authcmd

import (
	"fmt"

	"github.com/spf13/cobra"
)

func cacheCommand() *cobra.Command {
	flush := &cobra.Command{
		Use:   "flush [NAME]...",
		Short: "Forget what is remembered of databases and passwords",
		Long: "Makes the running daemon forget answers of databases and checked passwords: those of the named users, or all. " +
			"The next login of each asks the databases again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return each(cmd, VerbFlush, args, func(f Flushed, _ []byte) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d entries flushed\n", f.Entries)
				return err
			})
		},
	}
	cmd := &cobra.Command{
		Use: "cache", Short: "What the running daemon remembers of databases", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(flush)
	return cmd
}
