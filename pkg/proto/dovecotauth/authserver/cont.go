package authserver

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// outOfBand stands for the data in a CONT that is no part of the mechanism's
// exchange: the server asks for the channel binding of a type, the client
// answers with its data. Dovecot 2.4 invented it.
const outOfBand = "#"

// cont takes `CONT <id> <base64>`, the peer's response to a challenge, or
// `CONT <id> # channel_binding=<base64>`.
func (c *clientConn) cont(raw []byte) (detached bool, err error) {
	id, rest, err := cutID("CONT", raw)
	if err != nil {
		return false, err
	}
	data, rest, _ := dovecotauth.Cut(rest)
	if string(data) == outOfBand && c.bound(id, rest) {
		return false, nil
	}
	x, step := c.claim(id)
	switch {
	case x == nil:
		return false, c.refuse(id, Refusal{Reason: "Authentication request timed out"})
	case step == nil:
		c.remove(x)
		return false, c.refuse(id, Refusal{Reason: "Unexpected continuation"})
	}
	response, err := base64.StdEncoding.AppendDecode([]byte{}, data)
	switch {
	case err != nil:
		c.remove(x)
		return false, c.refuse(id, Refusal{Code: "invalid_base64", Reason: "Invalid base64 data in continued response"})
	case x.final == nil:
		return x.resume(step, response)
	case len(response) > 0:
		return false, x.failed(fail.New(fail.Invalid, "mechanism %s: there was nothing to respond to", x.mech))
	}
	return false, x.granted(*x.final)
}

// claim takes the exchange id for its next step. A nil step says that one runs
// already, a nil exchange that there is none.
func (c *clientConn) claim(id uint32) (*exchange, *stepContext) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.active[id]
	if x == nil || x.step != nil {
		return x, nil
	}
	x.step = &stepContext{x: x}
	x.timer.Stop()
	return x, x.step
}

// bound hands channel binding data to the step that waits for it; false when
// none does.
func (c *clientConn) bound(id uint32, params []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.active[id]
	if x == nil || x.oob == nil {
		return false
	}
	var data []byte
	for more := true; more; {
		var param []byte
		param, params, more = dovecotauth.Cut(params)
		if key, value, _ := dovecotauth.CutField(param); string(key) == "channel_binding" {
			data, _ = base64.StdEncoding.AppendDecode(nil, value)
		}
	}
	x.oob <- data // has room for one
	x.oob = nil
	return true
}

// ChannelBinding asks the peer for the channel binding data of the connection
// whose exchange the step of ctx belongs to, for a type of RFC 5929 or RFC 9266
// such as "tls-exporter". It waits (see Waiting). Errors: fail.Invalid for what
// is no type, fail.Denied when there is no such data, ctx's as fail.Unavailable.
func ChannelBinding(ctx context.Context, kind string) ([]byte, error) {
	if kind == "" || len(kind) > 64 || strings.ContainsFunc(kind, notInTypes) {
		return nil, fail.New(fail.Invalid, "%.64q is no type of channel binding", kind)
	}
	s, ok := ctx.Value(stepKey{}).(*stepContext)
	if !ok || !s.x.c.binds {
		return nil, fail.New(fail.Denied, "the peer cannot be asked for channel bindings")
	}
	Waiting(ctx)
	return s.x.binding(ctx, kind)
}

// notInTypes: RFC 5056 section 7 allows letters, digits, periods and dashes.
func notInTypes(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-'
}

func (x *exchange) binding(ctx context.Context, kind string) ([]byte, error) {
	c := x.c
	answer := make(chan []byte, 1)
	c.mu.Lock()
	x.oob = answer
	c.mu.Unlock()
	b := append(appendVerb(c.out.open(), "CONT", x.id), "\t"+outOfBand...)
	if err := c.out.close(append(dovecotauth.AppendField(b, "channel_binding", kind), '\n')); err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "asking for a channel binding")
	}
	select {
	case data := <-answer:
		if len(data) == 0 {
			return nil, fail.New(fail.Denied, "the peer has no channel binding of type %s", kind)
		}
		return data, nil
	case <-ctx.Done():
		return nil, fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for a channel binding")
	}
}
