package authserver

import (
	"context"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// user answers `USER <id> <name> service=…`.
func (c *masterConn) user(id string, l dovecotauth.Line) error {
	find := c.s.cfg.Directory.User
	if c.kind == Exists {
		find = c.s.cfg.Directory.Exists
	}
	return c.lookup(id, l, find, func(r Record) []string {
		return append([]string{id, r.User}, r.Fields.Params()...)
	})
}

// pass answers `PASS <id> <name> service=…`.
func (c *masterConn) pass(id string, l dovecotauth.Line) error {
	return c.lookup(id, l, c.s.cfg.Directory.Pass, func(r Record) []string {
		return append([]string{id, "user=" + r.User}, r.Fields.Params()...)
	})
}

type finder func(ctx context.Context, q Lookup) (Record, error)

func (c *masterConn) lookup(id string, l dovecotauth.Line, find finder, render func(Record) []string) error {
	q, err := parseLookup(l)
	if err != nil {
		return err
	}
	return c.spawn(id, func() error {
		r, err := find(c.ctx, q)
		if err != nil {
			return c.notFound(id, err)
		}
		return c.reply(l.Verb, render(r)...)
	})
}

// notFound tells "there is no such user" from "could not look".
func (c *masterConn) notFound(id string, err error) error {
	switch fail.KindOf(err) {
	case fail.NotFound:
		return c.reply("NOTFOUND", id)
	case fail.Denied:
		c.s.cfg.Report(err)
		return c.reply("FAIL", id)
	}
	c.s.cfg.Report(err)
	return c.reply("FAIL", id, "code=temp_fail")
}

// list answers `LIST <id> user=<mask> service=…`.
func (c *masterConn) list(id string, l dovecotauth.Line) error {
	select {
	case c.listing <- struct{}{}:
	default:
		return c.reply("DONE", id, "fail")
	}
	mask := l.Fields(1).Get("user")
	if mask == "" {
		mask = "*"
	}
	return c.spawn(id, func() error {
		defer func() { <-c.listing }()
		return c.listAll(id, mask)
	})
}

// listChunk is how much of a list goes out in one write.
const listChunk = 4096

func (c *masterConn) listAll(id, mask string) error {
	var buf []byte
	for name, err := range c.s.cfg.Directory.List(c.ctx, mask) {
		if err != nil {
			c.s.cfg.Report(err)
			return c.out.send(dovecotauth.AppendLine(buf, "DONE", id, "fail"))
		}
		buf = dovecotauth.AppendLine(buf, "LIST", id, name)
		if len(buf) >= listChunk {
			if err := c.out.send(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	return c.out.send(dovecotauth.AppendLine(buf, "DONE", id, ""))
}

// request answers `REQUEST <id> <client pid> <auth id> <cookie>
// [session_pid=<pid>]`: it redeems a granted login.
func (c *masterConn) request(id string, l dovecotauth.Line) error {
	pid, ok1 := dovecotauth.ParseID(l.Param(1))
	authID, ok2 := dovecotauth.ParseID(l.Param(2))
	if !ok1 || !ok2 || l.Param(3) == "" {
		return fail.New(fail.Invalid, "REQUEST without client pid, request id or cookie")
	}
	if err := c.checkSessionPID(l.Fields(4)); err != nil {
		c.s.cfg.Report(err)
		return c.reply("FAIL", id)
	}
	gr, err := c.s.logins.redeem(pid, authID, l.Param(3))
	if err != nil {
		c.s.cfg.Report(err)
		return c.reply("FAIL", id)
	}
	return c.spawn(id, func() error {
		r, err := c.s.cfg.Directory.Redeemed(c.ctx, gr.user, gr.service, gr.login)
		if err != nil {
			return c.notFound(id, err)
		}
		params := append([]string{id, r.User}, r.Fields.Params()...)
		return c.reply("USER", append(params, "auth_mech="+gr.mech)...)
	})
}

// checkSessionPID holds the process that asks to the pid it names.
func (c *masterConn) checkSessionPID(fs dovecotauth.Fields) error {
	said, ok := fs.Lookup("session_pid")
	if !ok || c.peer.PID == 0 {
		return nil
	}
	if said != strconv.Itoa(c.peer.PID) {
		return fail.New(fail.Denied, "process %d tried to redeem a login for process %.20q", c.peer.PID, said)
	}
	return nil
}

// cacheFlush answers `CACHE-FLUSH <id> [<user>]…`.
func (c *masterConn) cacheFlush(id string, l dovecotauth.Line) error {
	return c.reply("OK", id, strconv.Itoa(c.s.cfg.Directory.Flush(l.Params[1:])))
}
