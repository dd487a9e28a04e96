package authcmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/scheme"
)

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Turn a password into the form that is stored",
		Long: "Reads a password from the terminal, from a line of standard input or from --password-file and prints what belongs " +
			"into the second field of a users file. Nothing is stored and no daemon is needed.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, err := cmd.Flags().GetString("scheme")
			if err != nil {
				return err
			}
			stored, err := hashPassword(cmd, name)
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), stored)
			}
			return err
		},
	}
	schemeFlag(cmd, scheme.Default)
	passwordFlag(cmd)
	return cmd
}

func schemeFlag(cmd *cobra.Command, value string) {
	cmd.Flags().StringP("scheme", "s", value, "password `scheme`: "+strings.Join(scheme.Names(), ", "))
}

// hashPassword reads a password and hashes it.
func hashPassword(cmd *cobra.Command, name string) (string, error) {
	password, err := readPassword(cmd, true)
	if err != nil {
		return "", err
	}
	var w scheme.Workspace
	return scheme.Generate(&w, name, password)
}
