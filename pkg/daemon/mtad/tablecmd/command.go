package tablecmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Host is what the commands need of the program they are part of.
type Host struct {
	// Tables are those that the configuration names.
	Tables func(cmd *cobra.Command) ([]string, error)
}

// Commands is the command `table` with its verbs.
func Commands(h Host) []*cobra.Command {
	root := &cobra.Command{
		Use:   "table",
		Short: "Ask lookup tables, list them, find what is wrong with them",
		Long: "Ask lookup tables, list them, find what is wrong with them. A table is named type:name, as in the configuration and as\n" +
			"in Postfix: texthash:/etc/postcote/virtual, pcre:/etc/postcote/header_checks, mysql:/etc/postcote/aliases.cf.\n" +
			"The running daemon is not needed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(queryCommand(), dumpCommand(), h.checkCommand())
	return []*cobra.Command{root}
}

func toolOf(cmd *cobra.Command) *Tool {
	return &Tool{Stdin: cmd.InOrStdin(), Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(), Name: "mtad"}
}

func queryCommand() *cobra.Command {
	var keep, input, quiet bool
	cmd := &cobra.Command{
		Use:   "query TABLE KEY...",
		Short: "Print the values of keys",
		Long: "Print the values of keys, each after its key when there are several. The key - stands for the lines of standard input.\n" +
			"One question is asked for a key, as it stands: parts of addresses are not tried. Exit code 0 when one of the keys is\n" +
			"there, 1 when none is, another when the table cannot be asked.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 && !(input && len(args) == 1) {
				return fail.New(fail.Invalid, "name a table and a key")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			t := toolOf(cmd)
			t.KeepCase, t.Quiet = keep, quiet
			keys := args[1:]
			if input {
				keys = append(keys, "-")
			}
			return t.Query(cmd.Context(), absolute(args[:1]), keys)
		},
	}
	cmd.Flags().BoolVarP(&keep, "keep-case", "f", false, "look for keys as they are written, not in lower case")
	cmd.Flags().BoolVarP(&input, "input", "i", false, "take keys from the lines of standard input")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print nothing: the exit code is the answer")
	return cmd
}

func dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "dump TABLE...",
		Short: "Print all keys and values of tables that have a list of them",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return toolOf(cmd).Dump(cmd.Context(), absolute(args))
		},
	}
}

func (h Host) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [TABLE...]",
		Short: "Read tables and report duplicates, bad lines and servers that do not answer",
		Long: "Read tables and report duplicates, lines that do not count and servers that do not answer. Without a table, all\n" +
			"that the configuration names. Exit code 0 when nothing is wrong, 1 for lines that do not count, 75 when a table cannot be asked.",
		RunE: func(cmd *cobra.Command, args []string) error {
			specs := absolute(args)
			if len(specs) == 0 {
				var err error
				if specs, err = h.Tables(cmd); err != nil {
					return err
				}
			}
			problems, err := toolOf(cmd).Check(cmd.Context(), specs)
			switch {
			case err != nil:
				return fail.Wrap(fail.Unavailable, err, "")
			case problems > 0:
				return fail.New(fail.Corrupt, "there are %d problems", problems)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d tables are well\n", len(specs))
			return nil
		},
	}
}

// absolute completes the paths of files that are named from where the command
// is run.
func absolute(specs []string) []string {
	out := make([]string, len(specs))
	for i, spec := range specs {
		out[i] = spec
		s, err := lookup.ParseSpec(spec)
		if err != nil || !hasFile(s.Type) || filepath.IsAbs(s.Name) || strings.HasPrefix(s.Name, "{") {
			continue
		}
		if path, err := filepath.Abs(s.Name); err == nil {
			out[i] = s.Type + ":" + path
		}
	}
	return out
}

func hasFile(kind string) bool {
	switch kind {
	case "texthash", "hash", "btree", "cdb", "lmdb", "dbm", "sdbm", "regexp", "pcre", "cidr", "mysql", "pgsql", "sqlite", "ldap", "redis", "memcache":
		return true
	}
	return false
}
