package dnsx

import (
	"context"
	"net/netip"
)

// MX is one mail exchanger. Host is lower case, without the final dot.
type MX struct {
	Host string
	Pref uint16
}

// SRV is one server of a service (RFC 2782). Host is lower case, without the
// final dot.
type SRV struct {
	Host     string
	Port     uint16
	Priority uint16 // the lowest is tried first
	Weight   uint16 // share among equals
}

// Resolver answers the questions of a mail server. Names are A-labels, with
// or without a final dot. Errors are of kind NotFound (see IsNXDomain and
// IsNullMX for the cases) or Temporary.
type Resolver interface {
	// MX returns the exchangers of domain by rising preference; equal ones
	// stand in the order of the answer. A domain without MX records is an
	// error of kind NotFound: the caller decides about its address records.
	// A null MX (RFC 7505) is IsNullMX.
	MX(ctx context.Context, domain string) ([]MX, error)
	// Addrs returns the IPv6 and IPv4 addresses of host. One family that
	// cannot be asked is forgiven when the other has addresses.
	Addrs(ctx context.Context, host string) ([]netip.Addr, error)
	// PTR returns the names that claim ip, without the final dot.
	PTR(ctx context.Context, ip netip.Addr) ([]string, error)
	// SRV returns the servers of name, such as _submission._tcp.example.org, by
	// rising priority. A single record with the root as its host says that
	// there is no such service: IsNullSRV.
	SRV(ctx context.Context, name string) ([]SRV, error)
	// TXT returns the records of name, the strings of each joined.
	TXT(ctx context.Context, name string) ([]string, error)
}

// maxRecords bounds the records that are used of one answer.
const maxRecords = 100
