package pattern

import (
	"errors"
	"io"
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Networks are a cidr table. They do not change and are safe for concurrent
// use.
type Networks struct {
	steps []step
	count int
}

// step is one part of the table: networks in a row, or a rule that has to be
// looked at by itself.
type step struct {
	row *row // nil: the rest counts

	line    int
	network netip.Prefix
	negate  bool
	block   bool // "if": next is the step after its "endif"
	next    int
	value   string
}

// row finds the first of many networks that holds an address, by one question
// for each length that prefixes have.
type row struct {
	first   map[netip.Prefix]int32
	lengths [2][]int // of IPv4, of IPv6
	values  []string
}

// cidrReader is one table being read.
type cidrReader struct {
	lines *text.Lines
	steps []step
	open  []int // "if"s without their "endif" so far
	count int
}

// ReadCIDR reads Postfix's cidr_table(5). Lines with mistakes are reported and
// skipped. Errors: those of l.
func ReadCIDR(l *text.Lines) (*Networks, error) {
	r := cidrReader{lines: l}
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := r.line(string(line)); err != nil {
			l.Warnf("%v: the line is ignored", err)
		}
	}
	for _, i := range r.open {
		l.WarnAt(r.steps[i].line, "this if has no endif")
		r.steps[i].next = len(r.steps)
	}
	return &Networks{r.steps, r.count}, nil
}

func (r *cidrReader) line(line string) error {
	word, rest := keyword(line)
	switch {
	case word == "if":
		s, rest, err := r.network(rest)
		if err != nil {
			return err
		}
		if rest != "" {
			r.lines.Warnf("%.80q behind the network of an if means nothing", rest)
		}
		s.block = true
		r.open = append(r.open, len(r.steps))
		r.steps = append(r.steps, s)
		return nil
	case word == "endif" && len(r.open) == 0:
		return fail.New(fail.Invalid, "there is no if to this endif")
	case word == "endif":
		last := len(r.open) - 1
		r.steps[r.open[last]].next = len(r.steps)
		r.open = r.open[:last]
		// What follows must not go into a row within the if.
		r.steps = append(r.steps, step{row: &row{first: map[netip.Prefix]int32{}}})
		return nil
	}
	s, value, err := r.network(line)
	if err != nil {
		return err
	}
	if value == "" {
		return fail.New(fail.Invalid, "there is no value behind the network")
	}
	s.value = value
	r.add(s)
	return nil
}

// network reads "!address/length"; IPv6 addresses may be in brackets.
func (r *cidrReader) network(in string) (s step, rest string, err error) {
	s.line = r.lines.Number()
	for in != "" && (in[0] == '!' || in[0] == ' ' || in[0] == '\t') {
		s.negate = s.negate != (in[0] == '!')
		in = in[1:]
	}
	if i := strings.IndexAny(in, " \t\r\n\v\f"); i >= 0 {
		in, rest = in[:i], strings.TrimSpace(in[i:])
	}
	bare := in
	if inner, after, found := strings.Cut(in, "]"); found && strings.HasPrefix(in, "[") {
		bare = inner[1:] + after
	}
	if !strings.Contains(bare, "/") {
		ip, err := netip.ParseAddr(bare)
		if err != nil || ip.Zone() != "" {
			return s, "", fail.New(fail.Invalid, "%.80q is no address", in)
		}
		s.network = netip.PrefixFrom(ip, ip.BitLen())
		return s, rest, nil
	}
	if s.network, err = netip.ParsePrefix(bare); err != nil {
		return s, "", fail.New(fail.Invalid, "%.80q is no network", in)
	}
	if m := s.network.Masked(); m != s.network {
		return s, "", fail.New(fail.Invalid, "%s has bits after its length; perhaps it should be %s", in, m)
	}
	return s, rest, nil
}

// add puts a rule into the row before it, if order does not matter there.
func (r *cidrReader) add(s step) {
	r.count++
	if s.negate {
		r.steps = append(r.steps, s)
		return
	}
	if n := len(r.steps); n == 0 || r.steps[n-1].row == nil {
		r.steps = append(r.steps, step{row: &row{first: map[netip.Prefix]int32{}}})
	}
	r.steps[len(r.steps)-1].row.add(s.network, s.value)
}

func (w *row) add(p netip.Prefix, value string) {
	if _, there := w.first[p]; there {
		return // the first one counts
	}
	w.first[p] = int32(len(w.values))
	w.values = append(w.values, value)
	family := familyOf(p.Addr())
	for _, n := range w.lengths[family] {
		if n == p.Bits() {
			return
		}
	}
	w.lengths[family] = append(w.lengths[family], p.Bits())
}

func familyOf(ip netip.Addr) int {
	if ip.Is4() {
		return 0
	}
	return 1
}

func (w *row) find(ip netip.Addr) (string, bool) {
	best := int32(len(w.values))
	for _, n := range w.lengths[familyOf(ip)] {
		p, err := ip.Prefix(n)
		if err != nil {
			continue
		}
		if i, ok := w.first[p]; ok {
			best = min(best, i)
		}
	}
	if int(best) == len(w.values) {
		return "", false
	}
	return w.values[best], true
}

// Lookup returns the value of the first network that holds the address key.
// What is no address is in no network, and a rule for the other kind of
// addresses never matches, negated or not.
func (n *Networks) Lookup(key string) (string, bool) {
	ip, err := netip.ParseAddr(key)
	if err != nil || ip.Zone() != "" {
		return "", false
	}
	for i := 0; i < len(n.steps); i++ {
		s := &n.steps[i]
		if s.row != nil {
			if value, found := s.row.find(ip); found {
				return value, true
			}
			continue
		}
		switch matched := familyOf(s.network.Addr()) == familyOf(ip) && s.network.Contains(ip) != s.negate; {
		case s.block && !matched:
			i = s.next - 1
		case !s.block && matched:
			return s.value, true
		}
	}
	return "", false
}

// Len is how many networks there are.
func (n *Networks) Len() int { return n.count }
