package authcmd

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "List and change the users of the users file",
		Long: "Works on the file that users.file of the configuration names, under a lock and atomically; comments, order and " +
			"fields it does not concern stay. A running authd sees the change at its next request.",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(userAddCommand(), userListCommand(), userDeleteCommand(), userPasswordCommand())
	return cmd
}

// stored reads a password and hashes it by --scheme or the configured scheme.
func stored(cmd *cobra.Command, c *authconf.Config, user string) (string, error) {
	name, err := cmd.Flags().GetString("scheme")
	if err != nil {
		return "", err
	}
	if name == "" {
		name = c.Passwords.Scheme
	}
	return hashPassword(cmd, name, scheme.Options{User: user})
}

func userAddCommand() *cobra.Command {
	u := passwdfile.Entry{UID: -1, GID: -1}
	var locked bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: "Adds a user with a password read from the terminal, from a line of standard input or from --password-file. " +
			"The mailbox is made when the first mail arrives or the user logs in.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configOf(cmd)
			if err != nil {
				return err
			}
			u.Name = account.Qualify(args[0], c.Users.DefaultDomain)
			if err := account.CheckName(u.Name); err != nil {
				return err
			}
			u.Password = "!"
			if !locked {
				if u.Password, err = stored(cmd, c, u.Name); err != nil {
					return err
				}
			}
			return passwdfile.Edit(cmd.Context(), c.Users.File, func(e *passwdfile.Editor) error { return e.Add(u) })
		},
	}
	cmd.Flags().IntVar(&u.UID, "uid", -1, "numeric user `id` that owns the mail, instead of the configured one")
	cmd.Flags().IntVar(&u.GID, "gid", -1, "numeric group `id`, the same")
	cmd.Flags().StringVar(&u.Home, "home", "", "home `directory`, instead of the configured one")
	cmd.Flags().BoolVar(&locked, "locked", false, "ask for no password; mail arrives, nobody can log in")
	schemeFlag(cmd, "")
	passwordFlag(cmd)
	return cmd
}

func userPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Change a user's password",
		Long:  "Replaces the stored password by one read from the terminal, from a line of standard input or from --password-file.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configOf(cmd)
			if err != nil {
				return err
			}
			name := account.Qualify(args[0], c.Users.DefaultDomain)
			if _, err := passwdfile.Open(c.Users.File, nil).Lookup(name); fail.Is(err, fail.NotFound) {
				return err // before asking for a password
			}
			password, err := stored(cmd, c, name)
			if err != nil {
				return err
			}
			return passwdfile.Edit(cmd.Context(), c.Users.File, func(e *passwdfile.Editor) error { return e.SetPassword(name, password) })
		},
	}
	schemeFlag(cmd, "")
	passwordFlag(cmd)
	return cmd
}

func userDeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user; the mail stays where it is",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configOf(cmd)
			if err != nil {
				return err
			}
			name := account.Qualify(args[0], c.Users.DefaultDomain)
			return passwdfile.Edit(cmd.Context(), c.Users.File, func(e *passwdfile.Editor) error { return e.Delete(name) })
		},
	}
}

func userListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [MASK]",
		Short: "List users",
		Long:  "Lists the users whose name matches MASK, in which * stands for any text and ? for one byte. Lines of the file with mistakes are reported on standard error.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configOf(cmd)
			if err != nil {
				return err
			}
			mask := "*"
			if len(args) > 0 {
				mask = account.Canonical(args[0])
			}
			s, err := passwdfile.Open(c.Users.File, nil).Get()
			if err != nil {
				return err
			}
			for _, p := range s.Problems {
				fmt.Fprintln(cmd.ErrOrStderr(), p)
			}
			for _, e := range s.Entries() {
				if !account.Match(mask, e.Name) {
					continue
				}
				if err := printUser(cmd.OutOrStdout(), e, asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each user")
	return cmd
}

// listedUser is a line of `user list --json`. There is no password in it.
type listedUser struct {
	Name   string `json:"name"`
	UID    int    `json:"uid,omitempty"`
	GID    int    `json:"gid,omitempty"`
	Home   string `json:"home,omitempty"`
	Locked bool   `json:"locked"`
	Line   int    `json:"line"`
}

func printUser(w io.Writer, e *passwdfile.Entry, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(w, e.Name)
		return err
	}
	return json.NewEncoder(w).Encode(listedUser{
		Name: e.Name, UID: max(e.UID, 0), GID: max(e.GID, 0), Home: e.Home, Locked: e.Locked(), Line: e.Line,
	})
}
