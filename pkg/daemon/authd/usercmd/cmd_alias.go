package usercmd

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) aliasCommand() *cobra.Command {
	return group("alias", "List and change the aliases of the users store",
		"An alias leads mail for an address to other addresses, and can permit users to send as that address. "+
			"The address @example.org stands for all of the domain that have neither user nor alias.",
		h.aliasAdd(), h.aliasList(), h.aliasDelete())
}

func (h Host) aliasAdd() *cobra.Command {
	var maySend, sendOnly bool
	cmd := &cobra.Command{
		Use:   "add ADDRESS TARGET...",
		Short: "Lead an address to others, or permit users to send as it",
		Long: "Adds targets to an alias, or permissions to targets it has. A target of a domain of ours must be a user or an alias; " +
			"only users of ours can be permitted to send. Everybody may send as himself.",
		Example: "  authd alias add info@example.org alice@example.org bob@example.org\n" +
			"  authd alias add --may-send sales@example.org alice@example.org\n" +
			"  authd alias add --send-only boss@example.org assistant@example.org",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if maySend && sendOnly {
				return fail.New(fail.Invalid, "--may-send and --send-only exclude each other")
			}
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error {
				return s.AddAlias(cmd.Context(), args[0], args[1:], !sendOnly, maySend || sendOnly)
			})
		},
	}
	cmd.Flags().BoolVar(&maySend, "may-send", false, "the targets may also send as ADDRESS")
	cmd.Flags().BoolVar(&sendOnly, "send-only", false, "the targets may send as ADDRESS, and its mail does not go to them")
	return cmd
}

// listedAlias is a target of an alias in JSON.
type listedAlias struct {
	Address string     `json:"address"`
	Target  string     `json:"target"`
	Deliver bool       `json:"deliver"`
	Send    bool       `json:"send"`
	Created *time.Time `json:"created"`
}

func (h Host) aliasList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [ADDRESS]", Short: "List aliases, a line for each target", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address := ""
			if len(args) > 0 {
				address = args[0]
			}
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error {
				aliases, err := s.AllAliases(cmd.Context(), address)
				if err != nil {
					return err
				}
				l := newList(cmd.OutOrStdout(), asJSON, "address", "target", "gets mail", "may send")
				for _, a := range aliases {
					if err := l.row(listedAlias{a.Address, a.Target, a.Deliver, a.Send, when(a.Created)},
						a.Address, a.Target, yesNo(a.Deliver), yesNo(a.Send)); err != nil {
						return err
					}
				}
				return l.end()
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (h Host) aliasDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ADDRESS [TARGET]...",
		Short: "Delete an alias, or some of its targets",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error { return s.DeleteAlias(cmd.Context(), args[0], args[1:]) })
		},
	}
}
