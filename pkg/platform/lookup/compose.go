package lookup

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxAnswer caps what tables of tables put together.
const maxAnswer = 1 << 20

// openMembers reads {type:name, type:name, …}.
func openMembers(name string, o Options) (Maps, error) {
	content, err := braced(name)
	if err != nil {
		return nil, err
	}
	list, err := fields(content)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > maxMembers {
		return nil, fail.New(fail.Invalid, "there are %d tables in it, not 1 to %d: write {type:name, type:name}", len(list), maxMembers)
	}
	return OpenAll(list, o)
}

// members are the tables of a unionmap or a pipemap. The first says whether
// parts of keys are taken, as in Postfix.
type members Maps

func (m members) Patterned() bool { return IsPatterned(m[0]) }

func (m members) Check(ctx context.Context) error {
	for _, t := range m {
		if err := Check(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// union answers with what all its tables have.
type union struct{ members }

func openUnion(name string, o Options) (Table, error) {
	m, err := openMembers(name, o)
	return union{members(m)}, err
}

func (t union) Lookup(ctx context.Context, key string) (string, error) {
	var all []string
	size := 0
	for _, m := range t.members {
		value, err := m.Lookup(ctx, key)
		switch {
		case missing(err):
			continue
		case err != nil:
			return "", err
		}
		if size += len(value) + 1; size > maxAnswer {
			return "", fail.New(fail.Invalid, "unionmap: the values are longer than %d bytes together", maxAnswer)
		}
		all = append(all, value)
	}
	if all == nil {
		return "", notFound("unionmap")
	}
	return strings.Join(all, ","), nil
}

// pipe makes the value of one table the key of the next.
type pipe struct{ members }

func openPipe(name string, o Options) (Table, error) {
	m, err := openMembers(name, o)
	return pipe{members(m)}, err
}

func (t pipe) Lookup(ctx context.Context, key string) (value string, err error) {
	for _, m := range t.members {
		if value, err = m.Lookup(ctx, key); err != nil {
			return "", err
		}
		key = value
	}
	return value, nil
}
