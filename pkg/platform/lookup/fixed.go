package lookup

import (
	"context"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// static answers every key with the same value.
type static struct{ value string }

// openStatic reads the value, or {the value with blanks around it}.
func openStatic(name string, _ Options) (Table, error) {
	if strings.HasPrefix(name, "{") {
		content, err := braced(name)
		if err != nil {
			return nil, err
		}
		name = content
	}
	return static{name}, nil
}

func (t static) Lookup(context.Context, string) (string, error) {
	return checked("static table", t.value)
}

// failing cannot be asked.
type failing struct{ name string }

func openFail(name string, _ Options) (Table, error) { return failing{name}, nil }

func (t failing) Lookup(context.Context, string) (string, error) {
	return "", fail.New(fail.Unavailable, "table fail:%s always fails", t.name)
}

func (failing) Patterned() bool { return true }

// Check fails, too.
func (t failing) Check(ctx context.Context) error {
	_, err := t.Lookup(ctx, "")
	return err
}

// environ has the variables of the process.
type environ struct{ fold func(string) string }

func openEnviron(_ string, o Options) (Table, error) { return environ{o.fold}, nil }

func (t environ) Lookup(_ context.Context, key string) (string, error) {
	// Folded as in Postfix: a name in capitals needs KeepCase.
	value, found := os.LookupEnv(t.fold(key))
	if !found {
		return "", notFound("environment")
	}
	return checked("environment", value)
}

// random answers every key with one of its values.
type random []string

func openRandom(name string, _ Options) (Table, error) {
	content, err := braced(name)
	if err != nil {
		return nil, err
	}
	values, err := fields(content)
	if err != nil || len(values) == 0 {
		return nil, fail.New(fail.Invalid, "there is no value in it: write randmap:{value, value}")
	}
	return random(values), nil
}

func (t random) Lookup(context.Context, string) (string, error) {
	return t[rand.IntN(len(t))], nil
}

func (random) Patterned() bool { return true }
