package usercmd

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) storeCommand() *cobra.Command {
	return group("store", "Check, back up and restore the users store", "All of them work while the daemon runs.",
		h.storeCheck(), h.storeBackup(), h.storeRestore())
}

// facts is what a check found, in JSON.
type facts struct {
	File         string   `json:"file"`
	Version      int      `json:"version"`
	Domains      int      `json:"domains"`
	Users        int      `json:"users"`
	Aliases      int      `json:"aliases"`
	AppPasswords int      `json:"app_passwords"`
	Problems     []string `json:"problems"`
}

func (h Host) storeCheck() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read the whole store and report what is wrong",
		Long: "Checks the pages and indexes of the file, and whether the rows hold what authd can use. Exit code 1 and a line for each " +
			"problem on standard error if there are any. A damaged store is put right by restoring a backup.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error {
				f, err := s.Check(cmd.Context())
				if err != nil {
					return err
				}
				if err := printFacts(cmd, s.Path(), f, asJSON); err != nil {
					return err
				}
				if len(f.Problems) > 0 {
					return fail.New(fail.Corrupt, "users store %s has %d problems", s.Path(), len(f.Problems))
				}
				return nil
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printFacts(cmd *cobra.Command, path string, f localdb.Facts, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(facts{path, f.Version, f.Domains, f.Users, f.Aliases, f.AppPasswords, append([]string{}, f.Problems...)})
	}
	for _, p := range f.Problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "format version %d: %d domains, %d users, %d aliases, %d app passwords\n", f.Version, f.Domains, f.Users, f.Aliases, f.AppPasswords)
	return err
}

func (h Host) storeBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a copy of the store as it is now",
		Long: "Writes one file, whole and durable, that authd store restore takes; a FILE that exists is replaced. It holds the stored " +
			"passwords, so its mode is 0600.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error { return s.Backup(cmd.Context(), args[0]) })
		},
	}
}

func (h Host) storeRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the store",
		Long: "Checks a backup and puts a copy of it in the place of the store, whatever state that is in. A daemon that runs goes on with " +
			"it at its next request. What changed since the backup is lost.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error {
				f, err := s.Restore(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printFacts(cmd, s.Path(), f, false)
			})
		},
	}
}
