package authcmd

import (
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Commands lists authd's own verbs.
func Commands() []*cobra.Command {
	return []*cobra.Command{hashCommand(), userCommand(), testCommand()}
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
