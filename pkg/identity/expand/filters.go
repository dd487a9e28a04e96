package expand

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// filter is a row of the table. Arguments are checked against it when a
// template is parsed.
type filter struct {
	name     string
	min, max int      // arguments without a key
	keys     []string // arguments with one
	source   bool     // works without a value before it
	// check looks at the arguments when the template is parsed; may be nil.
	check func(args []argument) (filter, error)
	run   func(f flow, args []argument) (flow, error)
}

// filters is the table of those that Dovecot 2.4 has and that make sense for
// a login: not encrypt and decrypt.
func filters() []filter {
	return append(textFilters(), []filter{
		{name: "md5", keys: []string{"rounds", "salt"}, run: hashFilter("md5")},
		{name: "sha1", keys: []string{"rounds", "salt"}, run: hashFilter("sha1")},
		{name: "sha256", keys: []string{"rounds", "salt"}, run: hashFilter("sha256")},
		{name: "sha384", keys: []string{"rounds", "salt"}, run: hashFilter("sha384")},
		{name: "sha512", keys: []string{"rounds", "salt"}, run: hashFilter("sha512")},
		{name: "hash", min: 1, max: 1, keys: []string{"rounds", "salt"}, check: checkHash},
		{name: "base64", keys: []string{"pad", "url"}, run: base64Filter},
		{name: "unbase64", keys: []string{"pad", "url"}, run: unbase64Filter},
		{name: "hex", max: 1, run: hexFilter},
		{name: "unhex", run: unhexFilter},
		{name: "hexlify", max: 1, run: hexlifyFilter},
		{name: "unhexlify", run: unhexlifyFilter},
		{name: "benumber", run: numberFilter(false)},
		{name: "lenumber", run: numberFilter(true)},
		{name: "calculate", min: 2, max: 2, run: calculate},
		{name: "default", max: 1, source: true, run: orDefault},
		{name: "literal", min: 1, max: 1, source: true, run: func(_ flow, args []argument) (flow, error) { return flow{text: args[0].text}, nil }},
		{name: "concat", min: 1, max: maxSteps, source: true, run: concat},
		{name: "lookup", min: 1, max: 1, source: true, check: checkLookup},
		{name: "if", min: 4, max: 5, source: true, check: checkIf},
	}...)
}

// newStep checks a filter's arguments.
func newStep(name string, args []argument) (step, error) {
	table := filters()
	i := slices.IndexFunc(table, func(f filter) bool { return f.name == name })
	if i < 0 {
		return step{}, fail.New(fail.Invalid, "%.30q is no filter: %s", name, filterNames(table))
	}
	f := table[i]
	plain := 0
	for _, a := range args {
		switch {
		case a.key == "":
			plain++
		case !slices.Contains(f.keys, a.key):
			return step{}, fail.New(fail.Invalid, "filter %s has no argument %.20q", name, a.key)
		}
	}
	if plain < f.min || plain > f.max {
		return step{}, fail.New(fail.Invalid, "filter %s takes %d to %d arguments, not %d", name, f.min, f.max, plain)
	}
	if f.check != nil {
		checked, err := f.check(args)
		if err != nil {
			return step{}, fail.Wrap(fail.Invalid, err, "filter %s", name)
		}
		checked.name, checked.source = f.name, f.source
		f = checked
	}
	return step{f, args}, nil
}

func filterNames(table []filter) string {
	names := make([]string, 0, len(table))
	for _, f := range table {
		if f.name != "calculate" {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// named finds the argument with a key.
func named(args []argument, key string) (string, bool) {
	for _, a := range args {
		if a.key == key {
			return a.text, true
		}
	}
	return "", false
}

func hashFilter(algorithm string) func(flow, []argument) (flow, error) {
	return func(f flow, args []argument) (flow, error) {
		d := digest{algorithm: algorithm, rounds: 1}
		var err error
		if rounds, ok := named(args, "rounds"); ok {
			if d.rounds, err = number(rounds, 1, maxRounds); err != nil {
				return flow{}, err
			}
		}
		d.salt, _ = named(args, "salt")
		return flow{text: string(d.sum([]byte(f.text))), binary: true}, nil
	}
}

func checkHash(args []argument) (filter, error) {
	algorithm := args[0].text
	if args[0].key != "" || args[0].variable != "" || newDigest(algorithm) == nil {
		return filter{}, fail.New(fail.Invalid, "the first argument is no hash: 'md5', 'sha1', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512'")
	}
	return filter{run: hashFilter(algorithm)}, nil
}

// checkLookup takes a name from the template only: a value that names a
// variable would be a value that is expanded.
func checkLookup(args []argument) (filter, error) {
	if args[0].variable != "" {
		return filter{}, fail.New(fail.Invalid, "the name must be text in quotes")
	}
	name := variable(args[0].text)
	args[0] = argument{variable: name}
	return filter{run: func(_ flow, args []argument) (flow, error) { return flow{text: args[0].text}, nil }}, nil
}

// checkIf is if(left, comparison, right, then, else); with a value before it,
// left is left out.
func checkIf(args []argument) (filter, error) {
	op := 1
	if len(args) == 4 {
		op = 0
	}
	if args[op].variable != "" {
		return filter{}, fail.New(fail.Invalid, "the comparison must be text in quotes")
	}
	right := args[op+1]
	t, err := newTest(args[op].text, right.text, right.variable == "")
	if err != nil {
		return filter{}, err
	}
	return filter{run: func(f flow, args []argument) (flow, error) {
		left := args[0].text
		if op == 0 {
			if f.err != nil {
				return flow{}, f.err
			}
			left = f.text
		}
		holds, err := t.holds(left, args[op+1].text)
		if holds {
			return flow{text: args[op+2].text}, err
		}
		return flow{text: args[op+3].text}, err
	}}, nil
}

func orDefault(f flow, args []argument) (flow, error) {
	switch {
	case f.err == nil && f.text != "":
		return f, nil
	case len(args) == 0:
		return flow{}, nil
	}
	return flow{text: args[0].text}, nil
}

func concat(f flow, args []argument) (flow, error) {
	var b strings.Builder
	if f.err == nil {
		b.WriteString(f.text)
	}
	for _, a := range args {
		b.WriteString(a.text)
	}
	return flow{text: b.String()}, nil
}

// calculate is value op number. Bytes are the number of their last eight, for
// the remainder only.
func calculate(f flow, args []argument) (flow, error) {
	op := args[0].text
	right, err := strconv.ParseInt(args[1].text, 10, 64)
	if err != nil {
		return flow{}, fail.New(fail.Invalid, "%.20q is no number", args[1].text)
	}
	if (op == "%" || op == "/") && right == 0 {
		return flow{}, fail.New(fail.Invalid, "division by zero")
	}
	if f.binary && op == "%" && right > 0 {
		var n uint64
		for _, c := range []byte(f.text[max(0, len(f.text)-8):]) {
			n = n<<8 | uint64(c)
		}
		return flow{text: strconv.FormatUint(n%uint64(right), 10)}, nil
	}
	left, err := strconv.ParseInt(f.text, 10, 64)
	if err != nil || f.binary {
		return flow{}, fail.New(fail.Invalid, "%.20q is no number", f.text)
	}
	switch op {
	case "+":
		left += right
	case "-":
		left -= right
	case "*":
		left *= right
	case "/":
		left /= right
	case "%":
		left %= right
	}
	return flow{text: strconv.FormatInt(left, 10)}, nil
}
