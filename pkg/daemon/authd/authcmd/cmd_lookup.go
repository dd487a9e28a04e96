package authcmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func lookupCommand() *cobra.Command {
	var serviceName, address string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lookup NAME",
		Short: "Ask the running daemon's databases about a user",
		Long: "Asks the running daemon what its user and password databases know of a user, and prints what each of them said and the " +
			"fields that came of it. No password is needed, and none is printed. " +
			"Exit code 1 when no user database knows the user, 75 when one that might could not be asked.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			args = append(args, serviceName)
			if address != "" {
				args = append(args, address)
			}
			var found Found
			err := each(cmd, VerbLookup, args, func(f Found, text []byte) error {
				found = f
				if asJSON {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
					return err
				}
				return f.print(cmd.OutOrStdout())
			})
			switch {
			case err != nil:
				return err
			case found.Userdb.Error != "":
				return fail.New(fail.Unavailable, "%s", found.Userdb.Error)
			case !found.Userdb.Found:
				return fail.New(fail.NotFound, "no user %s", found.User)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&serviceName, "service", "imap", "`name` of the service that asks")
	cmd.Flags().StringVar(&address, "ip", "", "`address` of the client, for databases that depend on it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as one JSON object")
	return cmd
}

// print writes what is known for people.
func (f Found) print(w io.Writer) error {
	_, err := fmt.Fprintln(w, f.User)
	for _, side := range []struct {
		name string
		Side
	}{{"userdb", f.Userdb}, {"passdb", f.Passdb}} {
		if err == nil {
			err = side.print(w, side.name)
		}
	}
	return err
}

func (s Side) print(w io.Writer, name string) error {
	if len(s.Answers) == 0 {
		_, err := fmt.Fprintf(w, "%s: no database was asked\n", name)
		return err
	}
	for _, a := range s.Answers {
		if _, err := fmt.Fprintf(w, "%s: %s\n", strings.TrimSpace(name+" "+a.DB), a.Says); err != nil {
			return err
		}
	}
	for _, x := range s.Fields {
		text := x.Key
		if x.Value != "" {
			text += "=" + x.Value
		}
		if _, err := fmt.Fprintf(w, "  %s\n", text); err != nil {
			return err
		}
	}
	return nil
}
