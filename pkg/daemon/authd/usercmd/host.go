package usercmd

import (
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Host is what the commands need of the program they are part of.
type Host struct {
	// Target tells what a command works on.
	Target func(cmd *cobra.Command) (Target, error)
	// PasswordFlags adds the flags that Stored reads.
	PasswordFlags func(cmd *cobra.Command)
	// Stored reads a password and returns the form to store.
	Stored func(cmd *cobra.Command, user string) (string, error)
}

// Target is what the configuration says about users. Store or File is set, or
// neither when users are in another database; Store counts if both are.
type Target struct {
	Store         localdb.Config
	File          string // a passwd-file
	DefaultDomain string
}

// name is the canonical form of a user's name as it was typed.
func (t Target) name(typed string) string { return account.Qualify(typed, t.DefaultDomain) }

// Commands lists the verbs.
func (h Host) Commands() []*cobra.Command {
	list := []*cobra.Command{h.userCommand(), h.domainCommand(), h.aliasCommand(), h.appPasswordCommand(), h.storeCommand()}
	for _, cmd := range list {
		cmd.PersistentFlags().String("store", "", "work on the users store in `file`, such as a backup, instead of what the configuration names")
	}
	return list
}

// target is what cmd works on.
func (h Host) target(cmd *cobra.Command) (Target, error) {
	t, err := h.Target(cmd)
	if err != nil {
		return t, err
	}
	file, err := cmd.Flags().GetString("store")
	if file != "" {
		t.Store, t.File = localdb.Config{File: file}, ""
	}
	return t, err
}

// open is the users store; create makes it if it is missing.
func (t Target) open(create bool) (*localdb.Store, error) {
	switch {
	case t.Store.File == "" && t.File == "":
		return nil, fail.New(fail.Invalid, "the configuration names no users store and no passwd-file in passdb: users are changed where they are, or name a store with --store")
	case t.Store.File == "":
		return nil, fail.New(fail.Invalid, "this needs a users store, and the configuration names the passwd-file %s: move the users over (authd user import), or name a store with --store", t.File)
	}
	return localdb.Open(t.Store, localdb.Options{Create: create})
}

// withStore runs f on the users store.
func (h Host) withStore(cmd *cobra.Command, create bool, f func(t Target, s *localdb.Store) error) error {
	t, err := h.target(cmd)
	if err != nil {
		return err
	}
	s, err := t.open(create)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(t, s)
}

// group is a command that only has commands below it.
func group(use, short, long string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(below...)
	return cmd
}
