package authcmd

import (
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/authd/usercmd"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Commands lists authd's own verbs.
func Commands() []*cobra.Command {
	users := usercmd.Host{
		Target: target, Stored: stored,
		PasswordFlags: func(cmd *cobra.Command) { schemeFlag(cmd, ""); passwordFlag(cmd) },
	}
	return append(users.Commands(), hashCommand(), testCommand(), lookupCommand(), whoFailedCommand(), cacheCommand())
}

// target is the first database of the configuration that the commands can
// change: the users store or a passwd-file.
func target(cmd *cobra.Command) (usercmd.Target, error) {
	c, err := configOf(cmd)
	if err != nil {
		return usercmd.Target{}, err
	}
	t := usercmd.Target{DefaultDomain: c.Users.DefaultDomain}
	t.Store, t.File = c.Editable()
	return t, nil
}

// stored reads a password and hashes it by --scheme or the configured scheme.
func stored(cmd *cobra.Command, user string) (string, error) {
	name, err := cmd.Flags().GetString("scheme")
	if err != nil {
		return "", err
	}
	if name == "" {
		c, err := configOf(cmd)
		if err != nil {
			return "", err
		}
		name = c.Passwords.Scheme
	}
	return hashPassword(cmd, name, scheme.Options{User: user})
}

// configOf is the configuration of a command.
func configOf(cmd *cobra.Command) (*authconf.Config, error) {
	cfg, err := service.LoadConfig(cmd)
	if err != nil {
		return nil, err
	}
	c, ok := cfg.(*authconf.Config)
	if !ok {
		return nil, fail.New(fail.Invalid, "%s is not a configuration of authd", service.ConfigPath(cmd))
	}
	return c, nil
}
