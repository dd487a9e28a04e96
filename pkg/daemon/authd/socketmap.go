package authd

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// socketmapIdle is how long a client may be silent; Postfix reconnects.
const socketmapIdle = 10 * time.Minute

// serveSocketmap answers Postfix's socketmap_table(5): requests "<map> <key>",
// replies "OK <value>", "NOTFOUND ", "TEMP <reason>" or "PERM <reason>", each
// a netstring. Maps: domains (is this domain ours), relays (is it one that we
// relay), users (is there such a mailbox), aliases (where mail goes instead) and
// senders (who may send as an address).
func (d *daemon) serveSocketmap(ctx context.Context, nc net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	r := bufio.NewReaderSize(nc, 512)
	for ctx.Err() == nil {
		_ = nc.SetReadDeadline(time.Now().Add(socketmapIdle))
		if ctx.Err() != nil {
			break
		}
		request, err := socketmap.Read(r, socketmap.MaxRequest)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		reply := d.socketmapReply(ctx, request)
		_ = nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := nc.Write(socketmap.Append(nil, reply)); err != nil {
			return err
		}
	}
	return nil
}

func (d *daemon) socketmapReply(ctx context.Context, request string) string {
	table, key, ok := strings.Cut(request, " ")
	if !ok {
		return "PERM request is not a map name and a key"
	}
	st := d.state.Load()
	find, ok := st.tables()[table]
	if !ok {
		return "PERM there is no such map; the maps are " + strings.Join(slices.Sorted(maps.Keys(st.tables())), ", ")
	}
	value, err := find(ctx, key)
	d.metrics.lookup("socketmap", err)
	switch {
	case err == nil:
		return "OK " + value
	case fail.Is(err, fail.NotFound):
		return "NOTFOUND "
	}
	d.trouble(err)
	return "TEMP user database is not available"
}

// tables are the maps.
func (st *state) tables() map[string]func(ctx context.Context, key string) (string, error) {
	return map[string]func(context.Context, string) (string, error){
		"domains": st.domainEntry, "relays": st.relayEntry, "users": st.userEntry, "aliases": st.aliasEntry, "senders": st.senderEntry,
	}
}

// domainEntry answers with the domain's class. A domain whose users another
// server has is none of ours.
func (st *state) domainEntry(ctx context.Context, domain string) (string, error) {
	if _, err := addr.Domain(domain); err != nil {
		return "", fail.Wrap(fail.NotFound, err, "")
	}
	ours, err := st.domains.Ours(ctx, domain)
	if err != nil {
		return "", err
	}
	relay := false
	if ours {
		relay, err = userdb.IsRelay(ctx, st.users.Addresses(), domain)
	}
	if err == nil && (!ours || relay) {
		err = fail.New(fail.NotFound, "domain %s is not ours", domain)
	}
	return "mailbox", err
}

// relayEntry answers for domains whose mail we take for another server.
func (st *state) relayEntry(ctx context.Context, domain string) (string, error) {
	if _, err := addr.Domain(domain); err != nil {
		return "", fail.Wrap(fail.NotFound, err, "")
	}
	relay, err := userdb.IsRelay(ctx, st.users.Addresses(), domain)
	if err == nil && !relay {
		err = fail.New(fail.NotFound, "domain %s is not relayed", domain)
	}
	return "relay", err
}

// userEntry answers with the canonical name: the right side of a virtual
// mailbox map may be anything.
func (st *state) userEntry(ctx context.Context, name string) (string, error) {
	r, err := st.lookup(ctx, &request.Request{User: name, Original: name, Service: "socketmap"})
	return r.User, err
}
