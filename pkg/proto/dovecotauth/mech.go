package dovecotauth

// Mechanism is what a MECH line announces. The properties are those Postfix
// and Dovecot's login processes choose by.
type Mechanism struct {
	Name           string
	Plaintext      bool // the password crosses the wire readable
	Dictionary     bool // open to a passive dictionary attack
	Active         bool // open to an active, non-dictionary attack
	Anonymous      bool
	ForwardSecrecy bool
	MutualAuth     bool
	ChannelBinding bool // bound to the TLS connection; not known before minor version 3
	Private        bool // not to be offered to clients (APOP)
}

type mechProperty struct {
	word string
	flag func(*Mechanism) *bool
}

// mechProperties are in the order in which Dovecot writes them. Nothing writes
// to the table.
var mechProperties = [...]mechProperty{
	{"private", func(m *Mechanism) *bool { return &m.Private }},
	{"anonymous", func(m *Mechanism) *bool { return &m.Anonymous }},
	{"plaintext", func(m *Mechanism) *bool { return &m.Plaintext }},
	{"dictionary", func(m *Mechanism) *bool { return &m.Dictionary }},
	{"active", func(m *Mechanism) *bool { return &m.Active }},
	{"forward-secrecy", func(m *Mechanism) *bool { return &m.ForwardSecrecy }},
	{"mutual-auth", func(m *Mechanism) *bool { return &m.MutualAuth }},
	{"channel-binding", func(m *Mechanism) *bool { return &m.ChannelBinding }},
}

// ParseMechanism reads the parameters of a MECH line. Unknown properties are
// ignored; an empty or malformed name is refused.
func ParseMechanism(l Line) (Mechanism, bool) {
	m := Mechanism{Name: l.Param(0)}
	if !ValidMechName(m.Name) {
		return Mechanism{}, false
	}
	for _, word := range l.Params[1:] {
		for _, p := range mechProperties {
			if p.word == word {
				*p.flag(&m) = true
			}
		}
	}
	return m, true
}

// AppendTo appends the MECH line.
func (m Mechanism) AppendTo(dst []byte) []byte {
	dst = AppendEscaped(append(dst, "MECH\t"...), m.Name)
	for _, p := range mechProperties {
		if *p.flag(&m) {
			dst = append(append(dst, '\t'), p.word...)
		}
	}
	return append(dst, '\n')
}

// ValidMechName checks RFC 4422 section 3.1: 1 to 20 upper-case letters,
// digits, hyphens or underscores. Longer names exist in the wild
// (SCRAM-SHA-256-PLUS fits, its 512 sibling too), so the cap is 64.
func ValidMechName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
