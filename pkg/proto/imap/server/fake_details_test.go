package server

import (
	"context"
	"fmt"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

func (c *fakeContent) Preview(ctx context.Context) (string, error) {
	r, p, err := c.load(ctx)
	if err != nil {
		return "", err
	}
	return digest.Preview(r, p), nil
}

func (c *fakeContent) Binary(ctx context.Context, path []int) (BinaryBody, error) {
	r, p, err := c.load(ctx)
	if err != nil {
		return nil, err
	}
	return message.OpenBinary(r, p, path)
}

func (c *fakeContent) EmailID(ctx context.Context) (string, error) {
	_, _, err := c.load(ctx)
	return fmt.Sprintf("M%x", len(c.m.text)), err
}

// Saved is an hour after INTERNALDATE, for messages that have one.
func (c *fakeContent) Saved(context.Context) (time.Time, error) {
	if c.uid%2 == 0 {
		return time.Time{}, nil
	}
	return c.m.date.Add(time.Hour), nil
}
