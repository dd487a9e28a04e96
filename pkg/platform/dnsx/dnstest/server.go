package dnstest

import (
	"errors"
	"net"
	"strings"
	"sync"

	"github.com/miekg/dns"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxAliases bounds the aliases that are followed in one answer.
const maxAliases = 10

// Server is a running name server.
type Server struct {
	addr     string
	udp, tcp *dns.Server

	mu      sync.Mutex
	records map[string][]dns.RR // by lower-case owner
	broken  map[string]int      // name -> rcode; "" is every name
	silent  map[string]bool
	asked   []string
}

// Start serves zone, in master file format (RFC 1035 section 5) with names
// relative to the root, on a free port of 127.0.0.1.
func Start(zone string) (*Server, error) {
	return StartAt("127.0.0.1:0", zone)
}

// StartAt is Start with a given address.
func StartAt(addr, zone string) (*Server, error) {
	s := &Server{broken: map[string]int{}, silent: map[string]bool{}}
	if err := s.SetZone(zone); err != nil {
		return nil, err
	}
	if err := s.listen(addr); err != nil {
		return nil, err
	}
	var started sync.WaitGroup
	started.Add(2)
	for _, d := range []*dns.Server{s.udp, s.tcp} {
		d.NotifyStartedFunc = started.Done
		d.Handler = dns.HandlerFunc(s.serve)
		go func() { _ = d.ActivateAndServe() }()
	}
	started.Wait()
	return s, nil
}

// listen finds a port that is free for both protocols.
func (s *Server) listen(addr string) error {
	var err error
	for range 20 {
		var pc net.PacketConn
		if pc, err = net.ListenPacket("udp", addr); err != nil {
			return err
		}
		var l net.Listener
		if l, err = net.Listen("tcp", pc.LocalAddr().String()); err != nil {
			_ = pc.Close()
			continue
		}
		s.addr = pc.LocalAddr().String()
		s.udp, s.tcp = &dns.Server{PacketConn: pc}, &dns.Server{Listener: l}
		return nil
	}
	return err
}

// Addr is the host:port of the server.
func (s *Server) Addr() string { return s.addr }

// Close stops the server.
func (s *Server) Close() error { return errors.Join(s.udp.Shutdown(), s.tcp.Shutdown()) }

// SetZone replaces all records.
func (s *Server) SetZone(zone string) error {
	records := map[string][]dns.RR{}
	p := dns.NewZoneParser(strings.NewReader(zone), ".", "zone")
	p.SetDefaultTTL(60)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		owner := strings.ToLower(rr.Header().Name)
		records[owner] = append(records[owner], rr)
	}
	if err := p.Err(); err != nil {
		return fail.Wrap(fail.Invalid, err, "zone")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = records
	return nil
}

// Break answers every question about name with rcode (dns.RcodeServerFailure
// and so on); the empty name is all names. Rcode 0 heals it.
func (s *Server) Break(name string, rcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rcode == dns.RcodeSuccess {
		delete(s.broken, key(name))
		return
	}
	s.broken[key(name)] = rcode
}

// Silence leaves questions about name without an answer; the empty name is
// all names.
func (s *Server) Silence(name string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[key(name)] = on
}

// Asked lists the questions so far as "MX example.org.".
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func key(name string) string {
	if name == "" {
		return ""
	}
	return strings.ToLower(dns.Fqdn(name))
}

func (s *Server) serve(w dns.ResponseWriter, q *dns.Msg) {
	r := s.reply(q)
	if r == nil {
		return
	}
	if _, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		r.Truncate(size)
	}
	_ = w.WriteMsg(r)
}

// reply returns nil when there is to be none.
func (s *Server) reply(q *dns.Msg) *dns.Msg {
	r := new(dns.Msg)
	r.SetReply(q)
	r.RecursionAvailable = true
	if len(q.Question) != 1 {
		r.Rcode = dns.RcodeFormatError
		return r
	}
	name, qtype := strings.ToLower(q.Question[0].Name), q.Question[0].Qtype
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, dns.TypeToString[qtype]+" "+name)
	if s.silent[name] || s.silent[""] {
		return nil
	}
	for _, k := range []string{name, ""} {
		if rcode, ok := s.broken[k]; ok {
			r.Rcode = rcode
			return r
		}
	}
	if q.IsEdns0() != nil {
		r.SetEdns0(dns.DefaultMsgSize, false)
	}
	s.fill(r, name, qtype)
	return r
}

func (s *Server) fill(r *dns.Msg, name string, qtype uint16) {
	for range maxAliases {
		next := ""
		for _, rr := range s.records[name] {
			switch c, alias := rr.(*dns.CNAME); {
			case rr.Header().Rrtype == qtype:
				r.Answer = append(r.Answer, rr)
			case alias:
				r.Answer = append(r.Answer, rr)
				next = strings.ToLower(c.Target)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	if n := len(r.Answer); n > 0 && r.Answer[n-1].Header().Rrtype == qtype {
		return
	}
	if !s.exists(name) {
		r.Rcode = dns.RcodeNameError
	}
	r.Ns = append(r.Ns, &dns.SOA{
		Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60},
		Ns:  "ns.invalid.", Mbox: "hostmaster.invalid.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 60,
	})
}

// exists is true also for a name that only has names below it (RFC 8020).
func (s *Server) exists(name string) bool {
	if _, ok := s.records[name]; ok {
		return true
	}
	for owner := range s.records {
		if strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}
