package usercmd

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) domainCommand() *cobra.Command {
	return group("domain", "List and change the domains of the users store",
		"The domains whose mail is ours. One with users comes into being with its first user. A domain that is disabled is not ours: "+
			"mail for it is refused and its users cannot log in, but nothing is lost.",
		h.domainAdd(), h.domainList(),
		h.domainChange("delete", "Delete a domain that has no users and aliases", (*localdb.Store).DeleteDomain),
		h.domainChange("enable", "Take a domain's mail and logins again", func(s *localdb.Store, ctx context.Context, name string) error {
			return s.EnableDomain(ctx, name, true)
		}),
		h.domainChange("disable", "Take a domain's mail and logins no more", func(s *localdb.Store, ctx context.Context, name string) error {
			return s.EnableDomain(ctx, name, false)
		}))
}

func (h Host) domainAdd() *cobra.Command {
	var class string
	var disabled bool
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a domain",
		Long:    "Adds a domain of class mailbox (it has users and aliases), alias (aliases only) or relay (another server has its users).",
		Example: "  authd domain add example.net --class alias",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(localdb.Classes(), localdb.Class(class)) {
				return fail.New(fail.Invalid, "--class %q is none of %v", class, localdb.Classes())
			}
			return h.withStore(cmd, true, func(_ Target, s *localdb.Store) error {
				return s.AddDomain(cmd.Context(), args[0], localdb.Class(class), !disabled)
			})
		},
	}
	cmd.Flags().StringVar(&class, "class", string(localdb.Mailbox), "`class`: mailbox, alias or relay")
	cmd.Flags().BoolVar(&disabled, "disabled", false, "take no mail and no logins yet")
	return cmd
}

// listedDomain is a domain in JSON.
type listedDomain struct {
	Name    string     `json:"name"`
	Class   string     `json:"class"`
	Enabled bool       `json:"enabled"`
	Users   int        `json:"users"`
	Aliases int        `json:"aliases"`
	Created *time.Time `json:"created"`
}

func (h Host) domainList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List domains", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error {
				domains, err := s.Domains(cmd.Context())
				if err != nil {
					return err
				}
				l := newList(cmd.OutOrStdout(), asJSON, "name", "class", "enabled", "users", "aliases")
				for _, d := range domains {
					if err := l.row(listedDomain{d.Name, string(d.Class), d.Enabled, d.Users, d.Aliases, when(d.Created)},
						d.Name, string(d.Class), yesNo(d.Enabled), strconv.Itoa(d.Users), strconv.Itoa(d.Aliases)); err != nil {
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

func (h Host) domainChange(use, short string, change func(*localdb.Store, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(_ Target, s *localdb.Store) error { return change(s, cmd.Context(), args[0]) })
		},
	}
}
