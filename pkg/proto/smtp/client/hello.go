package client

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// hello says EHLO, or HELO to servers that do not take it (RFC 5321 section
// 3.2), whatever their reason, or LHLO, and learns the extensions.
func (c *Conn) hello(ctx context.Context) error {
	c.ext = nil
	verb, stage := "EHLO", StageHello
	if c.cfg.LMTP {
		verb, stage = "LHLO", StageLHLO
	}
	r, err := c.command(ctx, stage, c.cfg.Timeouts.Hello, verb+" "+c.cfg.Name)
	if err != nil {
		return err
	}
	if r.OK() {
		c.name, _, _ = strings.Cut(r.Text, "\n")
		c.name, _, _ = strings.Cut(strings.TrimSpace(c.name), " ")
		c.ext = extensions(r)
		for _, word := range c.cfg.Discard {
			delete(c.ext, word)
		}
		return nil
	}
	if c.cfg.LMTP {
		return &SiteError{Stage: stage, Reply: r}
	}
	if r, err = c.command(ctx, stage, c.cfg.Timeouts.Hello, "HELO "+c.cfg.Name); err != nil {
		return err
	}
	if !r.OK() {
		return &SiteError{Stage: stage, Reply: r}
	}
	return nil
}

// extensions reads the lines after the first.
func extensions(r wire.Reply) map[string]string {
	ext := map[string]string{}
	lines := strings.Split(r.Text, "\n")
	for _, line := range lines[1:] {
		word, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word = strings.ToUpper(word); word != "" {
			ext[word] = strings.TrimSpace(params)
		}
	}
	return ext
}

func (c *Conn) has(keyword string) bool {
	_, ok := c.ext[keyword]
	return ok
}
