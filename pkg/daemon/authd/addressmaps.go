package authd

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// maxEntry leaves room for "OK " in a reply.
const maxEntry = socketmap.MaxReply - len("OK ")

// aliasEntry is for Postfix's virtual_alias_maps: the addresses that mail goes
// to instead, separated by commas.
func (st *state) aliasEntry(ctx context.Context, address string) (string, error) {
	if err := account.CheckName(address); err != nil {
		return "", fail.Wrap(fail.NotFound, err, "no alias %.80q", address)
	}
	targets, err := userdb.AliasesOf(ctx, st.users.Addresses(), address)
	if err != nil {
		return "", err
	}
	for i, t := range targets {
		targets[i] = onTheWire(t)
	}
	return entry(address, targets)
}

// onTheWire gives an address the spelling of its domain that every mail server
// takes. One whose local part is not ASCII needs SMTPUTF8 anyway.
func onTheWire(address string) string {
	a, err := addr.Parse(address)
	if err != nil || a.Domain == "" || strings.ContainsFunc(a.Local, func(r rune) bool { return r >= 0x80 }) {
		return address
	}
	ascii, err := addr.ASCIIDomain(a.Domain)
	if err != nil {
		return address
	}
	a.Domain = ascii
	return a.String()
}

// senderEntry is for Postfix's smtpd_sender_login_maps: login names separated
// by commas. A user may send as itself, whatever database it is in.
func (st *state) senderEntry(ctx context.Context, address string) (string, error) {
	if err := account.CheckName(address); err != nil {
		return "", fail.Wrap(fail.NotFound, err, "nobody may send as %.80q", address)
	}
	logins, err := userdb.SendersOf(ctx, st.users.Addresses(), address)
	if fail.Is(err, fail.NotFound) && !strings.HasPrefix(address, "@") {
		r, err := st.lookup(ctx, &request.Request{User: address, Original: address, Service: "socketmap"})
		return r.User, err
	}
	if err != nil {
		return "", err
	}
	return entry(address, logins)
}

// entry is a list as a map has it.
func entry(key string, list []string) (string, error) {
	value := strings.Join(list, ",")
	if len(value) > maxEntry {
		return "", fail.New(fail.Unavailable, "the entry for %s is longer than %d bytes, which no mail server reads", key, maxEntry)
	}
	return value, nil
}
