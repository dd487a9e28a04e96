package usercmd

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/account"
)

func (h Host) userList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [MASK]",
		Short: "List users",
		Long: "Lists the users whose name matches MASK, in which * stands for any text and ? for one byte: a table of a users store, the " +
			"names of a passwd-file, whose lines with mistakes are reported on standard error.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mask := "*"
			if len(args) > 0 {
				mask = account.Canonical(args[0])
			}
			return h.withUsers(cmd, false, func(_ Target, db users) error { return listUsers(cmd, db, mask, asJSON) })
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func listUsers(cmd *cobra.Command, db users, mask string, asJSON bool) error {
	columns := []string{"name", "state", "quota", "app passwords", "password changed"}
	if f, ok := db.(file); ok {
		columns = columns[:1]
		for _, p := range f.problems() {
			fmt.Fprintln(cmd.ErrOrStderr(), p)
		}
	}
	l := newList(cmd.OutOrStdout(), asJSON, columns...)
	for u, err := range db.all(cmd.Context()) {
		if err != nil {
			return err
		}
		if !account.Match(mask, u.Address) {
			continue
		}
		cells := []string{u.Address, u.state(), quotaText(u.Quota), strconv.Itoa(u.AppPasswords), at(u.PasswordChanged)}
		if err := l.row(listed(u), cells[:len(columns)]...); err != nil {
			return err
		}
	}
	return l.end()
}

func (h Host) userShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show one user", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, false, func(t Target, db users) error {
				u, err := db.get(cmd.Context(), t.name(args[0]))
				switch {
				case err != nil:
					return err
				case asJSON:
					return json.NewEncoder(cmd.OutOrStdout()).Encode(listed(u))
				}
				return show(cmd.OutOrStdout(), u)
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}
