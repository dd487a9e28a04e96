package maildir

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Namer makes base names that no other process and no other moment makes:
// <seconds>.M<microseconds>P<pid>.<host>. Time always grows inside a Namer, so
// one per process keeps them unique.
type Namer struct {
	now  func() time.Time
	host string
	pid  int

	mu   sync.Mutex
	last int64 // microseconds
}

// NewNamer names files for one process. Empty host means the machine's name;
// now may be nil.
func NewNamer(host string, pid int, now func() time.Time) *Namer {
	if host == "" {
		host, _ = os.Hostname()
	}
	if host == "" {
		host = "localhost"
	}
	if now == nil {
		now = time.Now
	}
	// Common Maildir practice for bytes that a name cannot hold.
	host = strings.NewReplacer("/", `\057`, ":", `\072`, ",", `\054`).Replace(host)
	return &Namer{now: now, host: host[:min(len(host), 100)], pid: pid}
}

// Next returns a new base name without sizes.
func (n *Namer) Next() string {
	n.mu.Lock()
	t := n.now().UnixMicro()
	if t <= n.last {
		t = n.last + 1
	}
	n.last = t
	n.mu.Unlock()
	return fmt.Sprintf("%d.M%dP%d.%s", t/1e6, t%1e6, n.pid, n.host)
}

// WithSizes appends Dovecot's ",S=<size>,W=<vsize>" to a base name.
func WithSizes(base string, size, vsize int64) string {
	return base + ",S=" + strconv.FormatInt(size, 10) + ",W=" + strconv.FormatInt(vsize, 10)
}

// Sizes reads S= and W= from a base name, in either order; -1 where there is
// none.
func Sizes(base string) (size, vsize int64) {
	size, vsize = -1, -1
	_, rest, _ := strings.Cut(base, ",")
	for rest != "" {
		var field string
		field, rest, _ = strings.Cut(rest, ",")
		if len(field) < 3 || field[1] != '=' {
			continue
		}
		n, ok := parseSize(field[2:])
		if !ok {
			continue
		}
		switch field[0] {
		case 'S':
			size = n
		case 'W':
			vsize = n
		}
	}
	return size, vsize
}

// parseSize is strconv.ParseInt for what is not negative, quicker for what is
// usual: names are read by the hundred thousand.
func parseSize(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i == 18 {
			n, err := strconv.ParseInt(s, 10, 64)
			return n, err == nil && n >= 0
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, s != ""
}

// WithUID appends ",V=<uidvalidity>.<uid>" to a base name: the UID that the
// message got when it was stored, for the case that a crash takes its line of
// the UID list away. Others ignore it, as they do all fields that they do not
// know.
func WithUID(base string, validity, uid uint32) string {
	return fmt.Sprintf("%s,V=%x.%d", base, validity, uid)
}

// UIDOf reads V= from a base name; 0 when there is none for that UIDVALIDITY.
func UIDOf(base string, validity uint32) uint32 {
	if !strings.Contains(base, ",V=") { // most have none, and this says so sooner
		return 0
	}
	i := strings.LastIndex(base, ",V=")
	v, u, _ := strings.Cut(base[i+3:], ".")
	n, err := strconv.ParseUint(v, 16, 32)
	uid, uerr := strconv.ParseUint(u, 10, 32)
	if err != nil || uerr != nil || uint32(n) != validity || uid == 1<<32-1 {
		return 0
	}
	return uint32(uid)
}

// Flags are the flags that a Maildir file name can say, in the ASCII order of
// their letters.
type Flags uint8

// The flags. Passed has no IMAP name; it is kept for programs that set it.
const (
	Draft    Flags = 1 << iota // D
	Flagged                    // F
	Passed                     // P
	Answered                   // R
	Seen                       // S
	Deleted                    // T
)

const flagLetters = "DFPRST"

// AllFlags is every flag that IMAP can change.
const AllFlags = Draft | Flagged | Answered | Seen | Deleted

func flagOf(letter byte) Flags {
	if i := strings.IndexByte(flagLetters, letter); i >= 0 {
		return 1 << i
	}
	return 0
}

// String is the flags' letters.
func (f Flags) String() string {
	var out []byte
	for i := range len(flagLetters) {
		if f&(1<<i) != 0 {
			out = append(out, flagLetters[i])
		}
	}
	return string(out)
}

// SavedAt is the second in which a file of that base name was put into its
// folder: the number that the name begins with. Zero when it begins with none,
// or with one that is no time of this age.
func SavedAt(base string) time.Time {
	digits, _, ok := strings.Cut(base, ".")
	if !ok || len(digits) < 9 || len(digits) > 10 {
		return time.Time{}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(n), 0)
}

// Letters are keyword letters of a file name: bit 0 is "a", bit 25 is "z".
// Their names are in dovecot-keywords.
type Letters uint32

// Info is what follows the ":" of a file name, understood.
type Info struct {
	Flags   Flags
	Letters Letters
	// Odd holds what we do not understand and must keep: other letters, and
	// the text from a second comma on.
	Odd string
}

// Split takes a file name apart at its first colon.
func Split(file string) (base string, info Info) {
	base, rest, ok := strings.Cut(file, ":")
	if !ok {
		return base, Info{}
	}
	rest, ok = strings.CutPrefix(rest, "2,")
	if !ok {
		// Another version of the info text (":1," is experimental in the
		// Maildir specification): no flags that we know. Ours will replace it.
		return base, Info{}
	}
	letters, tail := rest, ""
	if i := strings.IndexByte(rest, ','); i >= 0 {
		letters, tail = rest[:i], rest[i:]
	}
	var odd []byte
	for i := 0; i < len(letters); i++ {
		c := letters[i]
		if f := flagOf(c); f != 0 {
			info.Flags |= f
		} else if c >= 'a' && c <= 'z' {
			info.Letters |= 1 << (c - 'a')
		} else {
			odd = append(odd, c)
		}
	}
	slices.Sort(odd) // as Join writes them
	info.Odd = string(odd) + tail
	return base, info
}

// Usual reports whether a file name of cur/ is the one that Join makes of what
// Split finds in it: nothing about it is odd.
func Usual(file string) bool {
	i := strings.IndexByte(file, ':')
	if i < 0 || !strings.HasPrefix(file[i:], ":2,") {
		return false
	}
	last := byte(0)
	for _, c := range []byte(file[i+3:]) {
		if c <= last || (c < 'a' || c > 'z') && flagOf(c) == 0 {
			return false
		}
		last = c
	}
	return true
}

// Join is the file name of base in cur/ with info: letters in ASCII order,
// what is odd kept. With nothing it is "base:2,", as Dovecot names it.
func Join(base string, info Info) string {
	out := make([]byte, 0, len(base)+3+8+len(info.Odd))
	return string(AppendInfo(append(out, base...), info))
}

// AppendInfo is Join behind a base name that is there.
func AppendInfo(out []byte, info Info) []byte {
	odd, tail := info.Odd, ""
	if i := strings.IndexByte(odd, ','); i >= 0 {
		odd, tail = odd[:i], odd[i:]
	}
	out = append(out, ":2,"...)
	start := len(out)
	for i := range len(flagLetters) {
		if info.Flags&(1<<i) != 0 {
			out = append(out, flagLetters[i])
		}
	}
	for i := range 26 {
		if info.Letters&(1<<i) != 0 {
			out = append(out, 'a'+byte(i))
		}
	}
	for i := 0; i < len(odd); i++ {
		at := len(out)
		for at > start && out[at-1] > odd[i] {
			at--
		}
		out = append(out, 0)
		copy(out[at+1:], out[at:])
		out[at] = odd[i]
	}
	return append(out, tail...)
}

// validFile reports whether a folder entry can be a message: Maildir ignores
// names that begin with a dot.
func validFile[T string | []byte](name T) bool {
	return len(name) > 0 && name[0] != '.' && len(name) <= 255
}

// listable reports whether a listing shows a folder entry: one with a line end
// could not be in the UID list.
func listable(name string) bool { return validFile(name) && strings.IndexByte(name, '\n') < 0 }

// SortByArrival sorts by base name: by the seconds and microseconds that names
// begin with, then as text. What has one name stays in its order.
func SortByArrival[T any](list []T, base func(T) string) {
	keys := make([]arrivalKey, len(list))
	sorted := true
	for i, x := range list {
		sec, usec := arrival(base(x))
		keys[i] = arrivalKey{at: math.MaxUint64, i: i}
		if sec < 1<<44-1 { // else its microseconds may not count before it does
			keys[i].at = sec<<20 | min(usec, 1<<20-1)
		}
		sorted = sorted && (i == 0 || keys[i-1].at <= keys[i].at)
	}
	if !sorted {
		keys = sortKeys(keys)
	}
	for lo, hi := 0, 0; lo < len(keys); lo = hi { // those that the keys do not tell apart
		for hi = lo + 1; hi < len(keys) && keys[hi].at == keys[lo].at; hi++ {
		}
		if hi-lo > 1 {
			slices.SortStableFunc(keys[lo:hi], func(a, b arrivalKey) int { return cmpArrival(base(list[a.i]), base(list[b.i])) })
			sorted = false
		}
	}
	if sorted {
		return
	}
	old := slices.Clone(list)
	for i, k := range keys {
		list[i] = old[k.i]
	}
}

// arrivalKey is seconds and microseconds, as far as they have room, of list[i].
type arrivalKey struct {
	at uint64
	i  int
}

// sortKeys sorts by the bytes of the keys, the last first; those in which all
// are alike cost nothing. For a hundred thousand it takes a fifth of what
// comparing them would.
func sortKeys(keys []arrivalKey) []arrivalKey {
	var counts [8][256]int
	for _, k := range keys {
		for b := range counts {
			counts[b][byte(k.at>>(8*b))]++
		}
	}
	out := make([]arrivalKey, len(keys))
	for b := range counts {
		n := &counts[b]
		if n[byte(keys[0].at>>(8*b))] == len(keys) {
			continue
		}
		at := 0
		for i, c := range n {
			n[i], at = at, at+c
		}
		for _, k := range keys {
			i := &n[byte(k.at>>(8*b))]
			out[*i] = k
			*i++
		}
		keys, out = out, keys
	}
	return keys
}

// arrival are the seconds and microseconds that a name begins with.
func arrival(base string) (sec, usec uint64) {
	sec, rest := leadingNumber(base)
	if rest, ok := strings.CutPrefix(rest, ".M"); ok {
		usec, _ = leadingNumber(rest)
	}
	return sec, usec
}

func cmpArrival(a, b string) int {
	asec, ausec := arrival(a)
	bsec, busec := arrival(b)
	return cmp.Or(cmp.Compare(asec, bsec), cmp.Compare(ausec, busec), strings.Compare(a, b))
}

// leadingNumber reads the digits at the start of s; a number too long to be
// one counts as the largest.
func leadingNumber(s string) (n uint64, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	if i > 18 {
		n = math.MaxUint64
	}
	return n, s[i:]
}
