package sqldb

import (
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/platform/lookup/sqltext"
)

// maxQuery caps the text of a query.
const maxQuery = sqltext.MaxText

// query is a template made ready for a kind of database: its text with
// placeholders, and what goes into them.
type query struct {
	text  string
	args  []argument
	names []string // of the variables, sorted, each once
	stmt  *sqlpool.Statement
}

func (q *query) uses(name string) bool { return slices.Contains(q.names, name) }

type argument = sqltext.Argument[expand.Template]

// values are the parameters for one request. No part of the SQL text depends
// on them.
func (q *query) values(v expand.Values) ([]string, error) {
	all := make([]string, len(q.args))
	for i, a := range q.args {
		var b strings.Builder
		for _, piece := range a {
			text := piece.Text
			if piece.IsVar {
				var err error
				if text, err = piece.Var.Expand(v, nil); err != nil {
					return nil, err
				}
			}
			b.WriteString(text)
		}
		if b.Len() > expand.MaxResult {
			return nil, fail.New(fail.Invalid, "a parameter is longer than %d bytes", expand.MaxResult)
		}
		all[i] = b.String()
	}
	return all, nil
}

// parseQuery reads a template in the dialect of driver, as package sqltext
// says.
func parseQuery(driver string, placeholder func(n int) string, t expand.Template) (*query, error) {
	p := sqltext.NewParser[expand.Template](driver, placeholder)
	t.Walk(p.Text, p.Variable)
	text, args, err := p.Done()
	if err != nil {
		return nil, err
	}
	q := &query{text: text, args: args, names: slices.Compact(slices.Sorted(slices.Values(t.Names())))}
	q.stmt = sqlpool.NewStatement(q.text, len(q.args))
	if q.uses("password") {
		q.stmt.Secret()
	}
	return q, nil
}
