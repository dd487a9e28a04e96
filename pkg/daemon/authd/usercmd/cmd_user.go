package usercmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (h Host) userCommand() *cobra.Command {
	return group("user", "List and change the users",
		"Works on the users store, or on the passwd-file, that the configuration names. No daemon need run; one that does sees a "+
			"change at its next request. Of a passwd-file, comments, order and fields that a command does not concern stay.",
		h.userAdd(), h.userList(), h.userShow(), h.userDelete(), h.userPassword(),
		h.userEnable("enable", "Let a user log in again", true),
		h.userEnable("disable", "Let a user log in no more; mail still arrives", false),
		h.userQuota(), h.userImport())
}

// withUsers runs f on the users database of either kind.
func (h Host) withUsers(cmd *cobra.Command, create bool, f func(t Target, db users) error) error {
	t, err := h.target(cmd)
	if err != nil {
		return err
	}
	db, err := t.users(create)
	if err != nil {
		return err
	}
	defer db.close()
	return f(t, db)
}

// quotaFlags reads limits from the flags storage and messages.
type quotaFlags struct {
	storage  string
	messages int64
}

func (q *quotaFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&q.storage, "storage", "", "limit of the mail's `size`, such as 2GiB; 0 for none")
	cmd.Flags().Int64Var(&q.messages, "messages", 0, "limit of the `number` of messages; 0 for none")
}

// over is old with what the flags say.
func (q *quotaFlags) over(cmd *cobra.Command, old localdb.Quota) (localdb.Quota, error) {
	if cmd.Flags().Changed("storage") {
		var size conf.Size
		if err := size.UnmarshalText([]byte(q.storage)); err != nil {
			return old, fail.Wrap(fail.Invalid, err, "--storage")
		}
		old.Storage = size.Int64()
	}
	if cmd.Flags().Changed("messages") {
		old.Messages = q.messages
	}
	return old, nil
}

// userFlags are what a new user can have.
type userFlags struct {
	uid, gid         int
	home             string
	locked, disabled bool
	fields           []string
	quota            quotaFlags
}

func (f *userFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.uid, "uid", -1, "numeric user `id` that owns the mail, instead of the configured one")
	cmd.Flags().IntVar(&f.gid, "gid", -1, "numeric group `id`, the same")
	cmd.Flags().StringVar(&f.home, "home", "", "home `directory`, instead of the configured one")
	cmd.Flags().BoolVar(&f.locked, "locked", false, "ask for no password; mail arrives, and app passwords can be made")
	cmd.Flags().BoolVar(&f.disabled, "disabled", false, "let the user not log in yet; mail arrives")
	cmd.Flags().StringArrayVar(&f.fields, "field", nil, "extra field, `key=value` or key, by Dovecot's names: userdb_mail=maildir:~/m, allow_nets=192.0.2.0/24; may be repeated")
	f.quota.add(cmd)
}

// user is the user that the flags describe.
func (f *userFlags) user(cmd *cobra.Command, name string) (u localdb.User, err error) {
	u = localdb.User{Address: name, Enabled: !f.disabled, Home: f.home}
	for _, id := range []struct {
		flag string
		n    int
		to   *int
	}{{"uid", f.uid, &u.UID}, {"gid", f.gid, &u.GID}} {
		if !cmd.Flags().Changed(id.flag) {
			continue
		}
		if id.n <= 0 {
			return u, fail.New(fail.Invalid, "--%s %d is not a number above 0", id.flag, id.n)
		}
		*id.to = id.n
	}
	for _, text := range f.fields {
		key, value, found := strings.Cut(text, "=")
		u.Fields = append(u.Fields, account.Field{Key: key, Value: value, Flag: !found})
	}
	u.Quota, err = f.quota.over(cmd, localdb.Quota{})
	return u, err
}

func (h Host) userAdd() *cobra.Command {
	var flags userFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: "Adds a user with a password read from the terminal, from a line of standard input or from --password-file. " +
			"The mailbox is made when the first mail arrives or the user logs in. In a users store the domain is added with its first user.",
		Example: "  authd user add alice@example.org\n  authd user add --storage 2GiB --password-file /root/pw bob@example.org",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, true, func(t Target, db users) error {
				name := t.name(args[0])
				if err := account.CheckName(name); err != nil {
					return err
				}
				u, err := flags.user(cmd, name)
				if err != nil {
					return err
				}
				if _, err := db.get(cmd.Context(), name); err == nil {
					return fail.New(fail.Exists, "user %s exists already", name) // before asking for a password
				}
				if !flags.locked {
					if u.Stored, err = h.Stored(cmd, name); err != nil {
						return err
					}
				}
				return db.add(cmd.Context(), u)
			})
		},
	}
	flags.add(cmd)
	h.PasswordFlags(cmd)
	return cmd
}

func (h Host) userPassword() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "password NAME",
		Short: "Change a user's password",
		Long: "Replaces the stored password by one read from the terminal, from a line of standard input or from --password-file. " +
			"App passwords stay as they are.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, false, func(t Target, db users) error {
				name := t.name(args[0])
				if _, err := db.get(cmd.Context(), name); err != nil {
					return err // before asking for a password
				}
				stored, err := h.Stored(cmd, name)
				if err != nil {
					return err
				}
				return db.setPassword(cmd.Context(), name, stored)
			})
		},
	}
	h.PasswordFlags(cmd)
	return cmd
}

func (h Host) userDelete() *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user; the mail stays where it is",
		Long: "Deletes a user. In a users store its app passwords go with it, and so does what aliases lead to it, which is printed: " +
			"the next user of that name must not inherit them.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, false, func(t Target, db users) error {
				besides, err := db.remove(cmd.Context(), t.name(args[0]))
				for _, line := range besides {
					fmt.Fprintln(cmd.ErrOrStderr(), line)
				}
				return err
			})
		},
	}
}

func (h Host) userEnable(use, short string, on bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, false, func(t Target, db users) error { return db.enable(cmd.Context(), t.name(args[0]), on) })
		},
	}
}

func (h Host) userQuota() *cobra.Command {
	var flags quotaFlags
	cmd := &cobra.Command{
		Use:     "quota NAME",
		Short:   "Show or set a user's limits",
		Long:    "Sets what the flags say and leaves the rest; without flags it prints the limits.",
		Example: "  authd user quota alice@example.org --storage 5GiB\n  authd user quota alice@example.org --storage 0 --messages 0",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return h.withUsers(cmd, false, func(t Target, db users) error {
				u, err := db.get(cmd.Context(), t.name(args[0]))
				if err != nil {
					return err
				}
				q, err := flags.over(cmd, u.Quota)
				if err != nil {
					return err
				}
				if !cmd.Flags().Changed("storage") && !cmd.Flags().Changed("messages") {
					_, err := fmt.Fprintln(cmd.OutOrStdout(), quotaText(q))
					return err
				}
				return db.setQuota(cmd.Context(), u.Address, q)
			})
		},
	}
	flags.add(cmd)
	return cmd
}
