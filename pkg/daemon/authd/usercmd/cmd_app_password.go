package usercmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/apppassword"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) appPasswordCommand() *cobra.Command {
	return group("app-password", "List, make and revoke app passwords",
		"An app password lets one device or program of a user into the services it is for, so that none of them keeps the user's "+
			"own password, and a lost one costs one app password. They need a users store.",
		h.appAdd(), h.appList(), h.appRevoke())
}

func (h Host) appAdd() *cobra.Command {
	var services, valid string
	cmd := &cobra.Command{
		Use:   "add USER NAME",
		Short: "Make an app password and print it, this once",
		Long: "Makes an app password called NAME and prints it on standard output. It is kept as a digest: it cannot be shown again, " +
			"only revoked. Capitals, spaces and left out dashes do not matter when it is typed.",
		Example: "  authd app-password add alice@example.org phone\n  authd app-password add alice@example.org scanner --for smtp --valid 52w",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			scopes, err := apppassword.ParseScopes(services)
			if err != nil {
				return fail.Wrap(fail.Invalid, err, "--for")
			}
			var expires time.Time
			if valid != "" {
				var d conf.Duration
				if err := d.UnmarshalText([]byte(valid)); err != nil {
					return fail.Wrap(fail.Invalid, err, "--valid")
				}
				expires = time.Now().Add(d.Std())
			}
			return h.withStore(cmd, false, func(t Target, s *localdb.Store) error {
				password, err := s.AddAppPassword(cmd.Context(), t.name(args[0]), args[1], scopes, expires)
				if err == nil {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), password)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&services, "for", apppassword.AllScopes().String(), "the `services` it is for, separated by commas")
	cmd.Flags().StringVar(&valid, "valid", "", "how `long` it is good, such as 90d; for ever unless given")
	return cmd
}

// listedApp is an app password in JSON.
type listedApp struct {
	User        string             `json:"user"`
	Name        string             `json:"name"`
	Services    apppassword.Scopes `json:"services"`
	Active      bool               `json:"active"`
	Created     *time.Time         `json:"created"`
	Expires     *time.Time         `json:"expires,omitempty"`
	Revoked     *time.Time         `json:"revoked,omitempty"`
	LastUsed    *time.Time         `json:"last_used,omitempty"`
	LastService string             `json:"last_service,omitempty"`
	LastAddress string             `json:"last_address,omitempty"`
}

func (h Host) appList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [USER]", Short: "List app passwords and when they were used last", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(t Target, s *localdb.Store) error {
				user := ""
				if len(args) > 0 {
					user = t.name(args[0])
				}
				apps, err := s.AppPasswords(cmd.Context(), user)
				if err != nil {
					return err
				}
				now := time.Now()
				l := newList(cmd.OutOrStdout(), asJSON, "user", "name", "for", "state", "last used", "service", "address")
				for _, a := range apps {
					if err := l.row(listedApp{
						a.User, a.Name, a.Scopes, a.Active(now), when(a.Created), when(a.Expires), when(a.Revoked), when(a.LastUsed), a.LastService, a.LastAddress,
					}, a.User, a.Name, a.Scopes.String(), appState(a, now), at(a.LastUsed), orDash(a.LastService), orDash(a.LastAddress)); err != nil {
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

func appState(a localdb.AppPassword, now time.Time) string {
	switch {
	case !a.Revoked.IsZero():
		return "revoked " + a.Revoked.Format(time.DateOnly)
	case !a.Active(now):
		return "expired " + a.Expires.Format(time.DateOnly)
	case !a.Expires.IsZero():
		return "until " + a.Expires.Format(time.DateOnly)
	}
	return "active"
}

func (h Host) appRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke USER NAME", Short: "Let an app password in no more", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withStore(cmd, false, func(t Target, s *localdb.Store) error {
				return s.RevokeAppPassword(cmd.Context(), t.name(args[0]), args[1])
			})
		},
	}
}
