package userdbclient

import (
	"context"
	"iter"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// List yields the users whose name matches mask ("*" for all, "?" and "*" as
// wildcards). It runs on a connection of its own, so that a slow reader holds
// up nobody. A non-nil error is the last thing yielded.
func (c *Client) List(ctx context.Context, mask string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := c.list(ctx, mask, func(user string) bool { return yield(user, nil) })
		if err != nil {
			yield("", err)
		}
	}
}

// list returns nil also when yield asked to stop.
func (c *Client) list(ctx context.Context, mask string, yield func(string) bool) error {
	nc, err := c.link.Dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	hello := dovecotauth.AppendLine(nil, "VERSION", "1", "1")
	if _, err := nc.Write(dovecotauth.AppendLine(hello, "LIST", "1", "user="+mask, "service=postcote")); err != nil {
		return fail.Wrap(fail.Unavailable, err, "asking for the list of users")
	}
	r := dovecotauth.NewReader(nc)
	for {
		line, err := r.Next()
		if err != nil {
			return fail.Wrap(fail.Unavailable, err, "reading the list of users")
		}
		switch {
		case line.Verb == "LIST" && line.Param(0) == "1":
			if !yield(line.Param(1)) {
				return nil
			}
		case line.Verb == "DONE" && line.Param(0) == "1":
			if line.Param(1) == "fail" {
				return fail.New(fail.Unavailable, "auth service could not list all users")
			}
			return nil
		case line.Verb == "FAIL" || line.Verb == "NOTFOUND":
			return fail.New(fail.Denied, "auth service refuses to list users here")
		}
	}
}
