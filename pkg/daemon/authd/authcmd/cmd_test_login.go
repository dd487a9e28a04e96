package authcmd

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

func testCommand() *cobra.Command {
	var socket, serviceName, mech string
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Try to log in at the running daemon",
		Long: "Asks the running daemon whether a password is right, the way mtad does, and prints what it answers. The password " +
			"is read from the terminal, from a line of standard input or from --password-file. A refusal takes as long as it does for a client.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := readPassword(cmd, false)
			if err != nil {
				return err
			}
			c := authclient.New(authclient.Config{Address: socket, RequestTimeout: time.Minute})
			defer c.Close()
			result, err := tryLogin(cmd, c, mech, serviceName, sasl.Credentials{Authcid: args[0], Password: password})
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok")
			for _, f := range result.Fields.Params() {
				fmt.Fprintln(cmd.OutOrStdout(), "  "+f)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&socket, "socket", "/run/postcote-authd/auth-client", "`path` of a socket of type client, of ours or of a Dovecot")
	cmd.Flags().StringVar(&serviceName, "service", "smtp", "`name` of the service that is logged in to")
	cmd.Flags().StringVar(&mech, "mech", "PLAIN", "SASL `mechanism`")
	passwordFlag(cmd)
	return cmd
}

// tryLogin runs one exchange.
func tryLogin(cmd *cobra.Command, c *authclient.Client, mech, serviceName string, cred sasl.Credentials) (authclient.Result, error) {
	client, err := sasl.Choose([]string{mech}, true, cred)
	if err != nil {
		return authclient.Result{}, err
	}
	name, initial, err := client.Start()
	if err != nil {
		return authclient.Result{}, err
	}
	x, step, err := c.Start(cmd.Context(), authclient.Request{
		Mech: name, Service: serviceName, NoLogin: true, Secured: true, Initial: initial,
	})
	for err == nil && !step.Done {
		var response []byte
		if response, err = client.Next(step.Challenge); err != nil {
			x.Cancel()
			return authclient.Result{}, fail.Wrap(fail.Invalid, err, "challenge %q", step.Challenge)
		}
		step, err = x.Next(cmd.Context(), response)
	}
	return step.Result, err
}
