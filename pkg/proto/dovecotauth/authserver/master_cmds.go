package authserver

import (
	"context"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/seal"
)

// user answers `USER <id> <name> service=…`.
func (c *masterConn) user(id string, l dovecotauth.Line) error {
	find, only := c.s.cfg.Directory.User, c.ownOnly
	if c.kind == Exists {
		find, only = c.s.cfg.Directory.Exists, existsOnly
	}
	return c.lookup(id, l, find, func(r Record) error {
		fs, err := only(r)
		if err != nil {
			return c.notFound(id, err)
		}
		return c.record("USER", id, r.User, fs)
	})
}

// existsOnly leaves of a record what an Exists listener may tell.
func existsOnly(r Record) (dovecotauth.Fields, error) {
	var fs dovecotauth.Fields
	for _, f := range r.Fields {
		if f.Key == "class" || f.Key == "quota" {
			fs = append(fs, f)
		}
	}
	return fs, nil
}

// ownOnly is Dovecot's rule for sockets that are open to everybody: a record
// goes to the one whose it is.
func (c *masterConn) ownOnly(r Record) (dovecotauth.Fields, error) {
	if c.restricted() && r.Fields.Get("uid") != strconv.Itoa(c.peer.UID) {
		return nil, fail.New(fail.Denied, "uid %d may not look up user %s of uid %q at a socket of mode 0666", c.peer.UID, r.User, r.Fields.Get("uid"))
	}
	return r.Fields, nil
}

// restricted: root is not.
func (c *masterConn) restricted() bool { return c.peer.Restricted && c.peer.UID != 0 }

// pass answers `PASS <id> <name> service=…`.
func (c *masterConn) pass(id string, l dovecotauth.Line) error {
	if c.restricted() {
		c.s.cfg.Report(fail.New(fail.Denied, "uid %d may not ask for PASS at a socket of mode 0666", c.peer.UID))
		return c.reply("FAIL", id)
	}
	return c.lookup(id, l, c.s.cfg.Directory.Pass, func(r Record) error {
		return c.record("PASS", id, "user="+r.User, r.Fields)
	})
}

// record sends a line of id, name and fields.
func (c *masterConn) record(verb, id, name string, fs dovecotauth.Fields) error {
	return c.out.close(append(recordLine(c.out.open(), verb, id, name, fs), '\n'))
}

func recordLine(b []byte, verb, id, name string, fs dovecotauth.Fields) []byte {
	b = append(append(b, verb...), '\t')
	b = dovecotauth.AppendEscaped(append(append(b, id...), '\t'), name)
	return fs.AppendTo(b)
}

type finder func(ctx context.Context, q Lookup) (Record, error)

func (c *masterConn) lookup(id string, l dovecotauth.Line, find finder, found func(Record) error) error {
	q, err := parseLookup(l)
	switch {
	case err != nil:
		return err
	case strings.IndexByte(q.User, 0) >= 0:
		return c.reply("NOTFOUND", id) // nobody is called so
	}
	return c.spawn(id, func() error {
		r, err := find(c.ctx, q)
		if err != nil {
			return c.notFound(id, err)
		}
		return found(r)
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
	if c.restricted() {
		c.s.cfg.Report(fail.New(fail.Denied, "uid %d may not list users at a socket of mode 0666", c.peer.UID))
		return c.reply("DONE", id, "fail")
	}
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
		last, err := c.listAll(id, mask)
		if err != nil {
			return err
		}
		return c.out.send(last) // the peer may ask for the next list now
	})
}

// listChunk is how much of a list goes out in one write.
const listChunk = 4096

// listAll sends the list and returns the last of it.
func (c *masterConn) listAll(id, mask string) (last []byte, err error) {
	defer func() { <-c.listing }()
	var buf []byte
	for name, err := range c.s.cfg.Directory.List(c.ctx, mask) {
		if err != nil {
			c.s.cfg.Report(err)
			return dovecotauth.AppendLine(buf, "DONE", id, "fail"), nil
		}
		buf = dovecotauth.AppendLine(buf, "LIST", id, name)
		if len(buf) >= listChunk {
			if err := c.out.send(buf); err != nil {
				return nil, err
			}
			buf = buf[:0]
		}
	}
	return dovecotauth.AppendLine(buf, "DONE", id, ""), nil
}

// request answers `REQUEST <id> <client pid> <auth id> <cookie>
// [session_pid=<pid>] [request_auth_token]`: it redeems a granted login.
func (c *masterConn) request(id string, l dovecotauth.Line) error {
	pid, ok1 := dovecotauth.ParseID(l.Param(1))
	authID, ok2 := dovecotauth.ParseID(l.Param(2))
	if !ok1 || !ok2 || l.Param(3) == "" {
		return fail.New(fail.Invalid, "REQUEST without client pid, request id or cookie")
	}
	params := l.Fields(4)
	if err := c.checkSessionPID(params); err != nil {
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
		fs := gr.fields(r)
		if session, ok := params.Lookup("session_pid"); ok && params.Has("request_auth_token") {
			fs = fs.Add("auth_token", c.s.tokens.of(gr, session, r.User))
		}
		return c.record("USER", id, r.User, fs)
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

// seal answers `SEAL <id> <name> <key>`: from now on, and as long as this
// connection stands, logins that name the key come with what REQUEST would
// answer, sealed. It is ours, no part of Dovecot's protocol.
func (c *masterConn) seal(id string, l dovecotauth.Line) error {
	name := l.Param(1)
	key, err := seal.ParseKey(l.Param(2))
	if err != nil || name == "" || len(name) > seal.MaxName || c.sealed != "" || c.restricted() {
		return c.reply("FAIL", id)
	}
	sealer, err := seal.NewSealer(key)
	if err != nil || !c.s.seals.add(name, sealer) {
		return c.reply("FAIL", id)
	}
	c.sealed = name
	return c.reply("OK", id)
}

// cacheFlush answers `CACHE-FLUSH <id> [<user>]…`.
func (c *masterConn) cacheFlush(id string, l dovecotauth.Line) error {
	return c.reply("OK", id, strconv.Itoa(c.s.cfg.Directory.Flush(l.Params[1:])))
}
