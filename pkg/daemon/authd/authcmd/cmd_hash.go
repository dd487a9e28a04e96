package authcmd

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func hashCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Turn a password into the form that is stored",
		Long: "Reads a password from the terminal, from a line of standard input or from --password-file and prints what belongs " +
			"into the second field of a users file. Nothing is stored and no daemon is needed.",
		Example: "  authd hash\n  authd hash -s SCRAM-SHA-256\n  authd hash -s BLF-CRYPT --cost 10",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if list, err := cmd.Flags().GetBool("list"); err != nil {
				return err
			} else if list {
				return listSchemes(cmd.OutOrStdout())
			}
			name, err1 := cmd.Flags().GetString("scheme")
			o, err2 := hashOptions(cmd)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			stored, err := hashPassword(cmd, name, o)
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), stored)
			}
			return err
		},
	}
	schemeFlag(cmd, scheme.Default)
	passwordFlag(cmd)
	cmd.Flags().Bool("list", false, "list the schemes and do nothing else")
	cmd.Flags().StringP("user", "u", "", "`name` of the user, which DIGEST-MD5 needs; what stands behind its last @ is the realm")
	cmd.Flags().Int("rounds", 0, "`number` of repetitions (SHA*-CRYPT, PBKDF2, SCRAM-*) or of passes (ARGON2*)")
	cmd.Flags().Int("cost", 0, "logarithm of the repetitions (BLF-CRYPT), a `number` from 4 to 16")
	cmd.Flags().String("memory", "", "memory that a check takes (ARGON2*), a `size` such as 64MiB")
	return cmd
}

func schemeFlag(cmd *cobra.Command, value string) {
	cmd.Flags().StringP("scheme", "s", value, "password `scheme`, with .b64 or .hex for another encoding: "+strings.Join(scheme.Names(), ", "))
}

// hashOptions reads the flags that only hash has.
func hashOptions(cmd *cobra.Command) (o scheme.Options, err error) {
	var errs [4]error
	o.User, errs[0] = cmd.Flags().GetString("user")
	o.Costs.Rounds, errs[1] = cmd.Flags().GetInt("rounds")
	o.Costs.Cost, errs[2] = cmd.Flags().GetInt("cost")
	memory, err := cmd.Flags().GetString("memory")
	errs[3] = err
	if memory != "" {
		var size conf.Size
		if err := size.UnmarshalText([]byte(memory)); err != nil {
			return o, fail.Wrap(fail.Invalid, err, "--memory")
		}
		o.Costs.MemoryKiB = uint32(min(size.Int64()>>10, math.MaxUint32))
	}
	return o, errors.Join(errs[:]...)
}

// hashPassword reads a password and hashes it.
func hashPassword(cmd *cobra.Command, name string, o scheme.Options) (string, error) {
	password, err := readPassword(cmd, true)
	if err != nil {
		return "", err
	}
	var w scheme.Workspace
	return scheme.GenerateWith(&w, name, password, o)
}

// listSchemes prints what --scheme takes, and what speaks against it.
func listSchemes(to io.Writer) error {
	for _, name := range scheme.Names() {
		remark := ""
		if why := scheme.WhyWeak(name); why != "" {
			remark = "weak, it " + why
		}
		if name == scheme.Default {
			remark = "default"
		}
		line := strings.TrimRight(fmt.Sprintf("%-15s%s", name, remark), " ")
		if _, err := fmt.Fprintln(to, line); err != nil {
			return err
		}
	}
	return nil
}
