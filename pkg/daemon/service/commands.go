package service

import (
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// ConfigPath is the value of -c in a command of App.Commands.
func ConfigPath(cmd *cobra.Command) string {
	path, _ := cmd.Flags().GetString("config")
	return path
}

// LoadConfig loads the configuration of a command of App.Commands: a pointer
// of the type App.Config (or the Role's) makes.
func LoadConfig(_ *cobra.Command) (any, error) {
	return nil, fail.New(fail.Unavailable, "no configuration")
}

// Dial connects to the control socket of the running daemon, which is named by
// --control or else by the configuration.
func Dial(_ *cobra.Command) (*control.Client, error) {
	return nil, fail.New(fail.Unavailable, "no control socket")
}
