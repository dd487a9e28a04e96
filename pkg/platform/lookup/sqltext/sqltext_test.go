package sqltext

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// parse reads a template in which {x} is the variable x, and shows the
// statement with its parameters.
func parse(driver, template string) (string, error) {
	p := NewParser[string](driver, func(n int) string {
		if driver == sqlpool.PgSQL {
			return fmt.Sprintf("$%d", n)
		}
		return "?"
	})
	for template != "" {
		before, after, found := strings.Cut(template, "{")
		p.Text(before)
		if !found {
			break
		}
		name, rest, _ := strings.Cut(after, "}")
		p.Variable(name)
		template = rest
	}
	text, args, err := p.Done()
	for _, arg := range args {
		text += " | "
		for _, piece := range arg {
			if piece.IsVar {
				text += "{" + piece.Var + "}"
			} else {
				text += piece.Text
			}
		}
	}
	return text, err
}

// Every variable becomes a parameter, in quotes or without.
func TestParameters(t *testing.T) {
	const pg, my, lite = sqlpool.PgSQL, sqlpool.MySQL, sqlpool.SQLite
	for _, tc := range []struct{ driver, template, want string }{
		{my, "SELECT a FROM b WHERE c = '{u}'", "SELECT a FROM b WHERE c = ? | {u}"},
		{pg, "SELECT a FROM b WHERE c = '{u}@{d}' AND e = {f};", "SELECT a FROM b WHERE c = $1 AND e = $2 | {u}@{d} | {f}"},
		{my, `SELECT "{u}", 'it''s', 'it''s {u}'`, "SELECT ?, 'it''s', ? | {u} | it's {u}"},
		{lite, `SELECT "column" WHERE a LIKE '%@{d}'`, `SELECT "column" WHERE a LIKE ? | %@{d}`},
		{pg, "SELECT CONCAT('{u}', '@', x)", "SELECT CONCAT($1, '@', x) | {u}"},
		{pg, "SELECT $$it's$$ WHERE x={u}OR y", "SELECT $$it's$$ WHERE x=$1 OR y | {u}"},
		{lite, "SELECT 1 -- it's\nWHERE x = '{u}'", "SELECT 1 -- it's\nWHERE x = ? | {u}"},
	} {
		if got, err := parse(tc.driver, tc.template); got != tc.want || err != nil {
			t.Errorf("%s: %q %v, want %q", tc.template, got, err, tc.want)
		}
	}
}

// Where no value belongs, a variable is refused.
func TestRefused(t *testing.T) {
	for _, tc := range [][2]string{
		{sqlpool.SQLite, `SELECT "{u}"`},
		{sqlpool.MySQL, "SELECT `{u}`"},
		{sqlpool.PgSQL, "SELECT $x${u}$x$"},
		{sqlpool.PgSQL, "SELECT 1 /* {u} */"},
		{sqlpool.PgSQL, "SELECT 1 -- {u}"},
		{sqlpool.MySQL, `SELECT 'a\'{u}'`},
		{sqlpool.PgSQL, `SELECT E'{u}\n'`},
		{sqlpool.PgSQL, `SELECT X'{u}'`},
		{sqlpool.SQLite, "SELECT '{u}"},
		{sqlpool.SQLite, " ; "},
	} {
		if got, err := parse(tc[0], tc[1]); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %s: %q %v", tc[0], tc[1], got, err)
		}
	}
}

// No text of a template moves a variable out of its parameter.
func FuzzParameters(f *testing.F) {
	f.Add("SELECT a FROM b WHERE c = '{u}' AND d = {x} -- '", uint8(0))
	f.Add(`SELECT E'\'' || "x" /* */ $$ $$ '{u}'`, uint8(1))
	f.Fuzz(func(t *testing.T, template string, which uint8) {
		driver := []string{sqlpool.PgSQL, sqlpool.MySQL, sqlpool.SQLite}[which%3]
		const secret = "\x00value\x00"
		p := NewParser[string](driver, func(int) string { return "?" })
		before, after, _ := strings.Cut(template, "{}")
		p.Text(before)
		p.Variable(secret)
		p.Text(after)
		text, args, err := p.Done()
		if err != nil {
			return
		}
		if strings.Contains(text, secret) || len(args) == 0 {
			t.Fatalf("%q", text)
		}
	})
}
