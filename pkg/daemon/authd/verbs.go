package authd

import (
	"context"
	"net/netip"
	"strconv"

	"github.com/postcote/postcote/pkg/daemon/authd/authcmd"
	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// verbs are authd's own requests on the control socket.
func (d *daemon) verbs() []control.Verb {
	return []control.Verb{
		{Name: authcmd.VerbLookup, Who: control.Admin, Handler: d.verbLookup},
		{Name: authcmd.VerbFailed, Who: control.Admin, Handler: d.verbFailed},
		{Name: authcmd.VerbFlush, Who: control.Admin, Handler: d.verbFlush},
	}
}

func (d *daemon) verbLookup(ctx context.Context, args []string, emit control.Emit) error {
	if len(args) < 2 || len(args) > 3 {
		return fail.New(fail.Invalid, "%s takes a name, a service and perhaps an address", authcmd.VerbLookup)
	}
	r := &request.Request{User: args[0], Original: args[0], Service: args[1]}
	if len(args) == 3 {
		ip, err := netip.ParseAddr(args[2])
		if err != nil {
			return fail.Wrap(fail.Invalid, err, "address")
		}
		r.Remote = netip.AddrPortFrom(ip, 0)
	}
	st := d.state.Load()
	if err := st.name(r); err != nil {
		return err
	}
	asked := *r // what one side finds must not reach the other
	return emit(authcmd.Found{User: r.User, Userdb: st.userSide(ctx, r), Passdb: st.passSide(ctx, &asked)})
}

// userSide is what the user databases know.
func (st *state) userSide(ctx context.Context, r *request.Request) authcmd.Side {
	var s authcmd.Side
	rec, err := st.users.Trace(ctx, r, func(db string, err error) {
		says := "found"
		switch {
		case fail.Is(err, fail.NotFound):
			says = passdb.UnknownUser.String()
		case err != nil:
			says = err.Error()
		}
		s.Answers = append(s.Answers, authcmd.Answer{DB: db, Says: says})
	})
	if err == nil {
		s.Found = true
		for _, f := range recordOf(rec).Fields {
			s.Fields = append(s.Fields, authcmd.Field{Key: f.Key, Value: f.Value})
		}
	} else if !fail.Is(err, fail.NotFound) {
		s.Error = err.Error()
	}
	return s
}

// passSide is what the password databases know.
func (st *state) passSide(ctx context.Context, r *request.Request) authcmd.Side {
	var s authcmd.Side
	v, err := st.chain.Lookup(ctx, r)
	for _, x := range v.Refusals {
		s.Answers = append(s.Answers, authcmd.Answer{DB: x.DB, Says: x.Reason.String()})
	}
	switch {
	case err == nil:
		s.Found = true
		s.Answers = append(s.Answers, authcmd.Answer{DB: v.DB, Says: "found"})
		s.Fields = fieldsOf(r.Passdb)
	case passdb.RefusedOf(err) == nil:
		s.Error = err.Error()
		s.Answers = append(s.Answers, authcmd.Answer{Says: s.Error})
	}
	return s
}

func fieldsOf(fields []account.Field) []authcmd.Field {
	var out []authcmd.Field
	for _, f := range fields {
		if f.Key != "pass" { // a password for the next server
			out = append(out, authcmd.Field{Key: f.Key, Value: f.Value})
		}
	}
	return out
}

// maxFailed caps a list of failures.
const maxFailed = 2000

func (d *daemon) verbFailed(ctx context.Context, args []string, emit control.Emit) error {
	n := maxFailed
	if len(args) > 0 {
		var err error
		if n, err = strconv.Atoi(args[0]); err != nil || n < 1 {
			return fail.New(fail.Invalid, "%.20q is no number of failures", args[0])
		}
	}
	guard := d.state.Load().defence.guard
	known := map[throttle.Peer]float64{}
	for _, f := range d.recent.Last(min(n, maxFailed)) {
		peer := throttle.Peer{Addr: f.Addr, User: f.User}
		if _, ok := known[peer]; !ok && guard != nil {
			known[peer] = guard.Delay(ctx, peer).Seconds()
		}
		x := authcmd.Failed{Time: f.Time, User: f.User, Service: f.Service, Reason: f.Reason, Penalty: known[peer]}
		if f.Addr.IsValid() {
			x.Addr = f.Addr.String()
		}
		if err := emit(x); err != nil {
			return err
		}
	}
	return nil
}

func (d *daemon) verbFlush(_ context.Context, args []string, emit control.Emit) error {
	return emit(authcmd.Flushed{Entries: directory{d}.Flush(args)})
}
