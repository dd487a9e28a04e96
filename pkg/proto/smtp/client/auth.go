package client

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// auth logs in, if that was asked for (RFC 4954).
func (c *Conn) auth(ctx context.Context) error {
	if c.cfg.Auth == nil {
		return nil
	}
	offered, ok := c.ext["AUTH"]
	if !ok {
		return &SiteError{Stage: StageAuth, Auth: true, Err: fail.New(fail.Temporary, "server does not offer AUTH")}
	}
	mech, err := c.cfg.Auth(strings.Fields(offered), c.tls)
	if err != nil {
		return &SiteError{Stage: StageAuth, Auth: true, Err: err}
	}
	name, initial, err := mech.Start()
	if err != nil {
		return &SiteError{Stage: StageAuth, Auth: true, Err: err}
	}
	line := "AUTH " + name
	if initial != nil {
		line += " " + encodeResponse(initial)
	}
	return c.converse(ctx, mech, line)
}

// converse answers challenges until the server has decided.
func (c *Conn) converse(ctx context.Context, mech gosasl.Client, line string) error {
	for {
		r, err := c.command(ctx, StageAuth, c.cfg.Timeouts.Auth, line)
		var site *SiteError
		if errors.As(err, &site) {
			site.Auth = site.Err == nil // 421
			return err
		}
		switch {
		case r.OK():
			if err := sasl.Complete(mech); err != nil {
				return &SiteError{Stage: StageAuth, Auth: true, Reply: r, Err: err}
			}
			c.login = true
			return nil
		case r.Code != 334:
			return &SiteError{Stage: StageAuth, Auth: true, Reply: r}
		}
		if line, err = answer(mech, r); err != nil {
			return c.cancelAuth(ctx, err)
		}
	}
}

func answer(mech gosasl.Client, r wire.Reply) (string, error) {
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimSpace(r.Text))
	if err != nil {
		return "", fail.Wrap(fail.Temporary, err, "challenge is not base64")
	}
	response, err := mech.Next(challenge)
	return base64.StdEncoding.EncodeToString(response), err
}

// cancelAuth ends the exchange for a reason of our own.
func (c *Conn) cancelAuth(ctx context.Context, why error) error {
	r, err := c.command(ctx, StageAuth, c.cfg.Timeouts.Auth, "*")
	if err != nil {
		return err
	}
	return &SiteError{Stage: StageAuth, Auth: true, Reply: r, Err: why}
}

// encodeResponse: an initial response that is empty but there is "=".
func encodeResponse(b []byte) string {
	if len(b) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(b)
}
