package imapd

import (
	"context"

	"github.com/postcote/postcote/pkg/daemon/imapd/login"
	"github.com/postcote/postcote/pkg/daemon/imapd/session"
	"github.com/postcote/postcote/pkg/daemon/service"
)

// App is the daemon for service.Main.
func App() service.App {
	return service.App{
		Name:  "imapd",
		Short: "Postcote's IMAP and POP3 server",
		Long: "imapd serves Maildirs by IMAP and POP3. It runs as two processes: the login role faces the network, ends TLS and\n" +
			"asks authd; the session role gets the connection handed over and serves the mail.",
		Roles: []service.Role{
			{
				Key: "session", Name: "imapd", Short: "serves the mail of users who have logged in",
				Config: func() any { c := session.Default(); return &c },
				Run: func(ctx context.Context, rt *service.Runtime, cfg any) error {
					return session.Run(ctx, rt, cfg.(*session.Config))
				},
			},
			{
				Key: "login", Name: "imapd-login", Short: "faces the network until somebody has logged in",
				Config: func() any { c := login.Default(); return &c },
				Run: func(ctx context.Context, rt *service.Runtime, cfg any) error {
					return login.Run(ctx, rt, cfg.(*login.Config))
				},
			},
		},
		Check: func(cfg any) (notes []string, err error) {
			if c, ok := cfg.(*login.Config); ok {
				notes = c.TLS.Notes()
			}
			return notes, nil
		},
		Commands: session.Commands(),
	}
}
