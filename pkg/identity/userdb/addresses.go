package userdb

import (
	"context"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Addresses is a Driver that knows of addresses more than who has a mailbox.
// Errors: fail.NotFound when it is known to have no answer; anything else is
// an outage.
type Addresses interface {
	// Aliases is where mail for address goes instead. "@domain" stands for all
	// of a domain that are not named.
	Aliases(ctx context.Context, address string) ([]string, error)
	// Senders is who may send as address, by the names they log in with.
	Senders(ctx context.Context, address string) ([]string, error)
	// IsRelay reports whether another server has the users of domain, and we
	// take its mail.
	IsRelay(ctx context.Context, domain string) (bool, error)
}

// AliasesOf asks in turn; the first that has an answer gives it. When none
// does, but one could not be asked, nobody knows.
func AliasesOf(ctx context.Context, dbs []Addresses, address string) ([]string, error) {
	return firstOf(dbs, func(db Addresses) ([]string, error) { return db.Aliases(ctx, address) }, "no alias %s", address)
}

// SendersOf is AliasesOf for senders.
func SendersOf(ctx context.Context, dbs []Addresses, address string) ([]string, error) {
	return firstOf(dbs, func(db Addresses) ([]string, error) { return db.Senders(ctx, address) }, "nobody may send as %s", address)
}

func firstOf(dbs []Addresses, ask func(Addresses) ([]string, error), none, address string) ([]string, error) {
	var outage error
	for _, db := range dbs {
		list, err := ask(db)
		if err == nil {
			return list, nil
		}
		if !fail.Is(err, fail.NotFound) && outage == nil {
			outage = err
		}
	}
	if outage != nil {
		return nil, outage
	}
	return nil, fail.New(fail.NotFound, none, address)
}

// IsRelay is true if one database says so, and unknown if one that could not
// be asked might have said so.
func IsRelay(ctx context.Context, dbs []Addresses, domain string) (bool, error) {
	var outage error
	for _, db := range dbs {
		relay, err := db.IsRelay(ctx, domain)
		if relay {
			return true, nil
		}
		if err != nil && outage == nil {
			outage = err
		}
	}
	return false, outage
}
