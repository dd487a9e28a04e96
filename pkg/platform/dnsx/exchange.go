package dnsx

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpSize is what fits through every path in one piece (DNS flag day 2020).
const udpSize = 1232

// exchange asks the servers in turn until one gives an answer that means
// something, success or NXDOMAIN.
func (c *Client) exchange(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	typ := dns.TypeToString[qtype]
	why, last := Unreachable, error(nil)
	for range c.attempts {
		for _, server := range c.servers.list() {
			msg, err := c.askServer(ctx, server, name, qtype)
			switch {
			case ctx.Err() != nil:
				return nil, newError(name, typ, Unreachable, ctx.Err())
			case err != nil:
				last = err
			case !answers(msg, name, qtype):
				why, last = BadAnswer, nil
			case msg.Rcode == dns.RcodeSuccess, msg.Rcode == dns.RcodeNameError:
				return msg, nil
			default: // SERVFAIL, REFUSED, ...: another server may know
				why, last = ServFail, nil
			}
		}
	}
	return nil, newError(name, typ, why, last)
}

// answers reports whether msg is a reply to this question.
func answers(msg *dns.Msg, name string, qtype uint16) bool {
	if !msg.Response || len(msg.Question) != 1 {
		// Some servers leave the question out when they refuse it.
		return msg.Response && len(msg.Question) == 0 && msg.Rcode != dns.RcodeSuccess
	}
	q := msg.Question[0]
	return q.Qtype == qtype && q.Qclass == dns.ClassINET && strings.EqualFold(canonical(q.Name), name)
}

func question(name string, qtype uint16, edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}

// askServer asks by UDP, again without EDNS when the server is too old for
// it, and again by TCP when the answer was cut.
func (c *Client) askServer(ctx context.Context, server, name string, qtype uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	m := question(name, qtype, true)
	r, err := c.roundTrip(ctx, "udp", server, m)
	if err == nil && (r.Rcode == dns.RcodeFormatError || r.Rcode == dns.RcodeNotImplemented) {
		m = question(name, qtype, false)
		r, err = c.roundTrip(ctx, "udp", server, m)
	}
	if err == nil && r.Truncated {
		return c.roundTrip(ctx, "tcp", server, m)
	}
	return r, err
}

func (c *Client) roundTrip(ctx context.Context, network, server string, m *dns.Msg) (*dns.Msg, error) {
	client := dns.Client{Net: network, UDPSize: udpSize, Timeout: c.timeout}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The library looks at the context's deadline only, not at its end.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r, _, err := client.ExchangeWithConnContext(ctx, m, conn)
	if err == nil && r == nil {
		err = errors.New("empty reply")
	}
	return r, err
}
