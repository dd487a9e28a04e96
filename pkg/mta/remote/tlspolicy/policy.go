package tlspolicy

import (
	"crypto/tls"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Policy is what one destination gets.
type Policy struct {
	Level Level
	// Match are the names of which the certificate must have one (Verify,
	// Secure): DNS names, .domain for every name below it, or the words
	// hostname, nexthop and dot-nexthop.
	Match []string
	// Prints are the fingerprints of which it must have one (Fingerprint):
	// SHA-256 or SHA-512 of the certificate or of its public key.
	Prints     [][]byte
	MinVersion uint16 // 0: TLS 1.2
	MaxVersion uint16 // 0: none
	ServerName string // for SNI, in place of the host's name
	CAFile     string // trust anchors, in place of Defaults.Roots
}

// maxMatches caps the names or fingerprints of a policy.
const maxMatches = 100

// Defaults are what a level means where a policy does not say it.
type Defaults struct {
	Verify, Secure []string // names; see Policy.Match
	Prints         [][]byte
	// May are the versions of level May, Mandatory those of the levels above.
	May, Mandatory Versions
}

// Versions are bounds of the TLS version; zero is none.
type Versions struct{ Min, Max uint16 }

// StandardDefaults are Postfix's.
func StandardDefaults() Defaults {
	return Defaults{Verify: []string{"hostname"}, Secure: []string{"nexthop", "dot-nexthop"}}
}

// Of is the policy of a level alone.
func (d Defaults) Of(l Level) Policy {
	v := d.Mandatory
	if l <= May {
		v = d.May
	}
	p := Policy{Level: l, MinVersion: v.Min, MaxVersion: v.Max}
	switch l {
	case Fingerprint:
		p.Prints = d.Prints
	case Verify:
		p.Match = d.Verify
	case Secure:
		p.Match = d.Secure
	}
	return p
}

// Parse reads the value of a policy table, "level attribute=value ...", as
// Postfix documents it at smtp_tls_policy_maps. Errors: fail.Invalid.
func (d Defaults) Parse(value string) (Policy, error) {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' || r == '\n' })
	if len(words) == 0 {
		return Policy{}, fail.New(fail.Invalid, "TLS policy is empty")
	}
	level, ok := ParseLevel(strings.ToLower(words[0]))
	if !ok {
		return Policy{}, fail.New(fail.Invalid, "TLS policy %.80q: there is no level %.40q", value, words[0])
	}
	p := d.Of(level)
	own := false // match= adds up, but replaces the default
	for _, w := range words[1:] {
		name, v, ok := strings.Cut(w, "=")
		if !ok || v == "" {
			return Policy{}, fail.New(fail.Invalid, "TLS policy %.80q: want attribute=value, not %.40q", value, w)
		}
		if name = strings.ToLower(name); name == "match" && !own {
			own, p.Match, p.Prints = true, nil, nil
		}
		if err := p.set(name, v); err != nil {
			return Policy{}, fail.Wrap(fail.Invalid, err, "TLS policy %.80q", value)
		}
	}
	return p, p.check()
}

// Remarks are what an operator should know of a value of a policy table: that
// mail would wait because of it, or what of it means nothing here.
func (d Defaults) Remarks(value string) (out []string) {
	if _, err := d.Parse(value); err != nil {
		return []string{err.Error()}
	}
	for _, w := range strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return strings.ContainsRune(" \t,\r\n", r) }) {
		switch name, v, _ := strings.Cut(w, "="); name {
		case "ciphers", "exclude", "enable_rpk":
			out = append(out, name+"= means nothing here: only strong ciphers, and only certificates, are used in any case")
		case "protocols":
			if old.MatchString(v) {
				out = append(out, w+": nothing older than TLSv1.2 is spoken")
			}
		}
	}
	return out
}

// old finds protocols that are allowed by name and that are never spoken.
var old = regexp.MustCompile(`(^|[:>=])(sslv[23]|tlsv1|tlsv1\.1)(:|$)`)

// set takes one attribute.
func (p *Policy) set(name, v string) (err error) {
	switch name {
	case "match":
		return p.match(v)
	case "protocols":
		var bounds Versions
		bounds, err = ParseVersions(v)
		p.MinVersion, p.MaxVersion = bounds.Min, bounds.Max
		return err
	case "servername":
		if v != "hostname" {
			p.ServerName = strings.ToLower(v)
		}
		return nil
	case "tafile":
		p.CAFile = v
		return nil
	case "ciphers", "exclude", "connection_reuse", "enable_rpk",
		"policy_type", "policy_domain", "policy_string", "policy_ttl", "policy_failure", "mx_host_pattern":
		// Go chooses among good ciphers only; a session is used again either
		// way; what is for reports (TLSRPT) changes no delivery.
		return nil
	}
	return fail.New(fail.Invalid, "there is no attribute %.40q", name)
}

// match takes the value of match=: names apart by ":", fingerprints by "|".
func (p *Policy) match(v string) error {
	switch p.Level {
	case Fingerprint:
		for _, f := range strings.Split(v, "|") {
			print, err := ParsePrint(f)
			if err != nil {
				return err
			}
			p.Prints = append(p.Prints, print)
		}
	case Verify, Secure:
		for _, n := range strings.Split(strings.ToLower(v), ":") {
			if n != "" {
				p.Match = append(p.Match, strings.TrimSuffix(n, "."))
			}
		}
	default:
		return fail.New(fail.Invalid, "level %s has nothing to match", p.Level)
	}
	return nil
}

// check refuses what nothing could fulfil.
func (p *Policy) check() error {
	switch {
	case len(p.Match) > maxMatches || len(p.Prints) > maxMatches:
		return fail.New(fail.Invalid, "TLS policy has more than %d matches", maxMatches)
	case p.Level == Fingerprint && len(p.Prints) == 0:
		return fail.New(fail.Invalid, "TLS policy: level fingerprint needs match= with a fingerprint")
	case (p.Level == Verify || p.Level == Secure) && len(p.Match) == 0:
		return fail.New(fail.Invalid, "TLS policy: level %s has no name to match", p.Level)
	}
	return nil
}

// ParsePrint reads a fingerprint: hexadecimal digits, with or without colons,
// of SHA-256 or SHA-512. Shorter digests can be forged, or nearly.
// Errors: fail.Invalid.
func ParsePrint(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != 32 && len(b) != 64 {
		return nil, fail.New(fail.Invalid, "fingerprint %.140q is not a SHA-256 or SHA-512 in hexadecimal digits", s)
	}
	return b, nil
}

// versions that Postfix can name; the old ones are never spoken.
var versions = []struct {
	name string
	id   uint16
}{{"sslv2", 0}, {"sslv3", 0}, {"tlsv1", 0}, {"tlsv1.1", 0}, {"tlsv1.2", tls.VersionTLS12}, {"tlsv1.3", tls.VersionTLS13}}

// ParseVersions reads Postfix's lists of protocols: ">=TLSv1.2", "<=TLSv1.2",
// or names and exclusions ("TLSv1.3", "!SSLv2:!TLSv1.2"), apart by colons, commas or
// blanks. Errors: fail.Invalid.
func ParseVersions(v string) (Versions, error) {
	allowed := []bool{true, true, true, true, true, true}
	named := false
	for _, w := range strings.FieldsFunc(strings.ToLower(v), func(r rune) bool { return strings.ContainsRune(":, \t", r) }) {
		name := strings.TrimLeft(w, "!<>=")
		op := w[:len(w)-len(name)]
		i := slices.IndexFunc(versions, func(k struct {
			name string
			id   uint16
		},
		) bool {
			return k.name == name
		})
		if i < 0 {
			return Versions{}, fail.New(fail.Invalid, "there is no protocol %.40q", w)
		}
		switch op {
		case "!":
			allowed[i] = false
		case ">=":
			clear(allowed[:i])
		case "<=":
			clear(allowed[i+1:])
		case "":
			if !named {
				named = true
				clear(allowed)
			}
			allowed[i] = true
		default:
			return Versions{}, fail.New(fail.Invalid, "protocols: what does %.40q mean?", w)
		}
	}
	switch twelve, thirteen := allowed[4], allowed[5]; {
	case !twelve && !thirteen:
		return Versions{}, fail.New(fail.Invalid, "protocols %.80q leave neither TLSv1.2 nor TLSv1.3", v)
	case !twelve:
		return Versions{Min: tls.VersionTLS13}, nil
	case !thirteen:
		return Versions{Max: tls.VersionTLS12}, nil
	}
	return Versions{}, nil
}
