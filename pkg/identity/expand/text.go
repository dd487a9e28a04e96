package expand

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxFill caps lfill, rfill and the width of hex.
const maxFill = 1 << 10

// textFilters are the rows that change texts.
func textFilters() []filter {
	return []filter{
		{name: "lower", run: plain(strings.ToLower)},
		{name: "upper", run: plain(strings.ToUpper)},
		{name: "reverse", run: plain(reverse)},
		{name: "username", run: plain(func(s string) string { before, _, _ := strings.Cut(s, "@"); return before })},
		{name: "domain", run: plain(func(s string) string { _, after, _ := strings.Cut(s, "@"); return after })},
		{name: "domain_last", run: plain(func(s string) string { return s[strings.LastIndexByte("@"+s, '@'):] })},
		{name: "ldap_dn", run: plain(func(s string) string { return strings.ReplaceAll(s, ".", ",dc=") })},
		{name: "text", run: func(f flow, _ []argument) (flow, error) {
			return flow{text: strings.ToValidUTF8(f.text, "\ufffd")}, nil
		}},
		{name: "list", max: 1, run: func(f flow, args []argument) (flow, error) {
			separator := ","
			if len(args) > 0 {
				separator = args[0].text
			}
			return flow{text: strings.ReplaceAll(f.text, "\t", separator)}, nil
		}},
		{name: "substr", min: 1, max: 2, run: substr},
		{name: "truncate", max: 1, keys: []string{"bits"}, run: truncate},
		{name: "index", min: 2, max: 2, run: index},
		{name: "lfill", min: 1, max: 2, run: fill(true)},
		{name: "rfill", min: 1, max: 2, run: fill(false)},
		{name: "regexp", min: 2, max: 2, check: checkRegexp},
	}
}

// plain keeps what bytes are: a hash that is reversed is still one.
func plain(change func(string) string) func(flow, []argument) (flow, error) {
	return func(f flow, _ []argument) (flow, error) {
		return flow{text: change(f.text), binary: f.binary}, nil
	}
}

func integer(a argument) (int, error) {
	n, err := strconv.Atoi(a.text)
	if err != nil {
		return 0, fail.New(fail.Invalid, "%.20q is no number", a.text)
	}
	return n, nil
}

// substr counts in bytes from the start, or from the end when negative.
func substr(f flow, args []argument) (flow, error) {
	n := len(f.text)
	from, err := integer(args[0])
	if err != nil {
		return flow{}, err
	}
	if from < -n || from > n {
		return flow{}, fail.New(fail.Invalid, "offset %d is outside of %d bytes", from, n)
	}
	if from < 0 {
		from += n
	}
	to := n
	if len(args) > 1 {
		length, err := integer(args[1])
		if err != nil {
			return flow{}, err
		}
		if length < 0 {
			to = n + length
		} else {
			to = from + min(length, n+1)
		}
		if to < from || to > n {
			return flow{}, fail.New(fail.Invalid, "length %d is outside of %d bytes", length, n)
		}
	}
	return flow{text: f.text[from:to], binary: f.binary}, nil
}

func truncate(f flow, args []argument) (flow, error) {
	if len(args) != 1 {
		return flow{}, fail.New(fail.Invalid, "needs a length, or bits=…")
	}
	n, err := integer(args[0])
	if err != nil || n < 0 {
		return flow{}, fail.New(fail.Invalid, "%.20q is no length", args[0].text)
	}
	if args[0].key == "bits" {
		if n == 0 {
			return flow{binary: f.binary}, nil
		}
		return flow{text: string(truncateBits([]byte(f.text), n)), binary: f.binary}, nil
	}
	return flow{text: f.text[:min(n, len(f.text))], binary: f.binary}, nil
}

func index(f flow, args []argument) (flow, error) {
	i, err := integer(args[1])
	if err != nil || args[0].text == "" {
		return flow{}, fail.New(fail.Invalid, "needs a separator and a number")
	}
	words := strings.Split(f.text, args[0].text)
	if i < 0 {
		i += len(words)
	}
	if i < 0 || i >= len(words) {
		return flow{}, fail.New(fail.Invalid, "there are only %d parts", len(words))
	}
	return flow{text: words[i]}, nil
}

func fill(left bool) func(flow, []argument) (flow, error) {
	return func(f flow, args []argument) (flow, error) {
		n, err := number(args[0].text, 1, maxFill)
		if err != nil {
			return flow{}, err
		}
		with := "0"
		if len(args) > 1 {
			with = args[1].text
		}
		if with == "" {
			return flow{}, fail.New(fail.Invalid, "cannot fill with nothing")
		}
		more := strings.Repeat(with, max(0, (n-len(f.text)+len(with)-1)/len(with)))
		if left {
			return flow{text: more + f.text}, nil
		}
		return flow{text: f.text + more}, nil
	}
}

// checkRegexp compiles the pattern when the template is parsed. \1 and $1 in
// the replacement are groups.
func checkRegexp(args []argument) (filter, error) {
	if args[0].variable != "" || args[1].variable != "" {
		return filter{}, fail.New(fail.Invalid, "pattern and replacement must be text in quotes")
	}
	re, err := regexp.Compile(args[0].text)
	if err != nil {
		return filter{}, err
	}
	with := regexp.MustCompile(`[\\$]([0-9])`).ReplaceAllString(args[1].text, "$${$1}")
	return filter{run: func(f flow, _ []argument) (flow, error) {
		return flow{text: re.ReplaceAllString(f.text, with)}, nil
	}}, nil
}

func encoding(args []argument) *base64.Encoding {
	e := base64.StdEncoding
	if v, ok := named(args, "url"); ok && v != "0" {
		e = base64.URLEncoding
	}
	if v, ok := named(args, "pad"); ok && v == "0" {
		e = e.WithPadding(base64.NoPadding)
	}
	return e
}

func base64Filter(f flow, args []argument) (flow, error) {
	return flow{text: encoding(args).EncodeToString([]byte(f.text))}, nil
}

func unbase64Filter(f flow, args []argument) (flow, error) {
	b, err := encoding(args).DecodeString(f.text)
	if err != nil {
		return flow{}, fail.New(fail.Invalid, "the value is not base64")
	}
	return flow{text: string(b), binary: true}, nil
}

// hexFilter writes a decimal number in hexadecimal: width digits from its
// end, or from its start when negative.
func hexFilter(f flow, args []argument) (flow, error) {
	n, err := strconv.ParseUint(f.text, 10, 64)
	if err != nil || f.binary {
		return flow{}, fail.New(fail.Invalid, "%.20q is no number", f.text)
	}
	s := strconv.FormatUint(n, 16)
	if len(args) == 0 {
		return flow{text: s}, nil
	}
	width, err := number(args[0].text, -maxFill, maxFill)
	switch {
	case err != nil:
		return flow{}, err
	case width < 0:
		s += strings.Repeat("0", max(0, -width-len(s)))
		s = s[:-width]
	case width > 0:
		s = strings.Repeat("0", max(0, width-len(s))) + s
		s = s[len(s)-width:]
	}
	return flow{text: s}, nil
}

func unhexFilter(f flow, _ []argument) (flow, error) {
	n, err := strconv.ParseUint(f.text, 16, 64)
	if err != nil {
		return flow{}, fail.New(fail.Invalid, "%.20q is no hexadecimal number", f.text)
	}
	return flow{text: strconv.FormatUint(n, 10)}, nil
}

func hexlifyFilter(f flow, args []argument) (flow, error) {
	s := hexText([]byte(f.text))
	if len(args) == 0 {
		return flow{text: s}, nil
	}
	width, err := number(args[0].text, 0, maxFill)
	switch {
	case err != nil:
		return flow{}, err
	case width > 0:
		s = strings.Repeat("0", max(0, width-len(s))) + s
		s = s[:width]
	}
	return flow{text: s}, nil
}

func unhexlifyFilter(f flow, _ []argument) (flow, error) {
	b, err := hex.DecodeString(f.text)
	if err != nil {
		return flow{}, fail.New(fail.Invalid, "the value is not hexadecimal")
	}
	return flow{text: string(b), binary: true}, nil
}

// numberFilter reads 1, 2, 4 or 8 bytes as a number.
func numberFilter(little bool) func(flow, []argument) (flow, error) {
	return func(f flow, _ []argument) (flow, error) {
		switch len(f.text) {
		case 1, 2, 4, 8:
		default:
			return flow{}, fail.New(fail.Invalid, "%d bytes make no number", len(f.text))
		}
		var n uint64
		for i := range len(f.text) {
			c := f.text[i]
			if little {
				c = f.text[len(f.text)-1-i]
			}
			n = n<<8 | uint64(c)
		}
		return flow{text: strconv.FormatUint(n, 10)}, nil
	}
}
