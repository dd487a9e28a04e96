package usercmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) userImport() *cobra.Command {
	var from string
	var dry bool
	cmd := &cobra.Command{
		Use:   "import --passwd-file FILE",
		Short: "Take users over from a passwd-file",
		Long: "Adds the users of a passwd-file to the users store, with stored passwords, ids, homes and extra fields, all at once or none. " +
			"Users who are in the store already stay as they are there. What cannot be taken over is reported; the exit code is 1 then. " +
			"The passwd-file stays as it is.",
		Example: "  authd user import --dry-run --passwd-file /etc/dovecot/users\n  authd user import --passwd-file /var/lib/postcote/authd/users",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, problems, err := readUsers(from)
			if err != nil {
				return err
			}
			return h.withStore(cmd, !dry, func(t Target, s *localdb.Store) error {
				for i := range list {
					list[i].Address = t.name(list[i].Address)
				}
				done, err := s.AddUsers(cmd.Context(), list, dry)
				if err != nil {
					return err
				}
				return reportImport(cmd, done, problems, dry)
			})
		},
	}
	cmd.Flags().StringVar(&from, "passwd-file", "", "the passwd-`file`")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "report what would be done, and do nothing")
	_ = cmd.MarkFlagRequired("passwd-file")
	return cmd
}

// readUsers is the users of a passwd-file, and its lines with mistakes.
func readUsers(from string) (list []localdb.User, problems []string, err error) {
	s, err := passwdfile.Open(from, nil).Get()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range s.Problems {
		problems = append(problems, p.String())
	}
	for _, e := range s.Entries() {
		list = append(list, fromEntry(e).User)
	}
	return list, problems, nil
}

func reportImport(cmd *cobra.Command, done localdb.Added, problems []string, dry bool) error {
	for _, err := range done.Refused {
		problems = append(problems, err.Error())
	}
	for _, p := range problems {
		fmt.Fprintln(cmd.ErrOrStderr(), p)
	}
	for _, name := range done.Existed {
		fmt.Fprintf(cmd.ErrOrStderr(), "user %s exists already and stays as it is\n", name)
	}
	verb := "added"
	if dry {
		verb = "would add"
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %d users, left %d as they are\n", verb, done.Added, len(done.Existed)); err != nil {
		return err
	}
	if len(problems) > 0 {
		return fail.New(fail.Permanent, "%d lines or users were not taken over", len(problems))
	}
	return nil
}
