package authcmd

import (
	"context"
	"crypto/rand"
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
		Long: "Asks the running daemon whether a password is right, the way mtad does, and prints what it answers. The password, or " +
			"the token of OAUTHBEARER and XOAUTH2, is read from the terminal, from a line of standard input or from --password-file. " +
			"EXTERNAL and ANONYMOUS need none: NAME is what a certificate says, or what a guest says of itself. " +
			"A refusal takes as long as it does for a client.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, ok := sasl.Find(mech)
			if !ok {
				return fail.New(fail.Invalid, "mechanism %.40q is not known", mech)
			}
			t := trial{mech: m, cred: sasl.Credentials{Authcid: args[0], Binder: madeUp{}}}
			t.req = authclient.Request{Service: serviceName, NoLogin: true, Secured: true, Binding: madeUp{}.ChannelBinding}
			if err := t.prepare(cmd); err != nil {
				return err
			}
			c := authclient.New(authclient.Config{Address: socket, RequestTimeout: time.Minute, ChannelBinding: m.Binding})
			defer c.Close()
			result, err := t.login(cmd.Context(), c)
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
	cmd.Flags().StringVar(&socket, "socket", "/run/postcote-authd/auth-smtp", "`path` of a socket of type client, client-2.4 or login, of ours or of a Dovecot")
	cmd.Flags().StringVar(&serviceName, "service", "smtp", "`name` of the service that is logged in to")
	cmd.Flags().StringVar(&mech, "mech", "PLAIN", "SASL `mechanism`; those with channel binding need a socket of type client-2.4 or login")
	passwordFlag(cmd)
	return cmd
}

// trial is one login.
type trial struct {
	mech sasl.Mechanism
	cred sasl.Credentials
	req  authclient.Request
}

// madeUp stands for a TLS connection: both ends see the same.
type madeUp struct{}

func (madeUp) ChannelBinding(kind string) ([]byte, error) { return []byte("authd test " + kind), nil }

// prepare gets what the mechanism wants of the user.
func (t *trial) prepare(cmd *cobra.Command) error {
	switch {
	case t.mech.Certificate:
		t.req.ClientCert, t.req.CertUser = true, t.cred.Authcid
		return nil
	case t.mech.Anonymous:
		return nil
	}
	secret, err := readPassword(cmd, false)
	if t.mech.Token {
		t.cred.Token = secret
	} else {
		t.cred.Password = secret
	}
	return err
}

// login runs the exchange.
func (t *trial) login(ctx context.Context, c *authclient.Client) (authclient.Result, error) {
	if t.mech.Private { // APOP: the challenge is the one of a login process's greeting
		pid, conn, err := c.Stamp(ctx)
		if err != nil {
			return authclient.Result{}, err
		}
		t.cred.Stamped = sasl.Stamp{PID: pid, Conn: conn}.Challenge(time.Now(), rand.Text(), "localhost")
	}
	client := t.mech.NewClient(t.cred)
	var err error
	if t.req.Mech, t.req.Initial, err = client.Start(); err != nil {
		return authclient.Result{}, err
	}
	x, step, err := c.Start(ctx, t.req)
	for err == nil && !step.Done {
		var response []byte
		if response, err = client.Next(step.Challenge); err != nil {
			x.Cancel()
			return authclient.Result{}, fail.Wrap(fail.Invalid, err, "challenge %q", step.Challenge)
		}
		step, err = x.Next(ctx, response)
	}
	if err == nil {
		err = sasl.Complete(client)
	}
	return step.Result, err
}
