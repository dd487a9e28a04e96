package sqltable

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/cf"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
	"github.com/postcote/postcote/pkg/platform/lookup/sqltext"
)

// query is the statement of a table.
type query struct {
	stmt *sqlpool.Statement
	args []sqltext.Argument[byte] // letters of the template
}

// queryText is the setting query, or what the settings from before Postfix 2.2
// say.
func queryText(driver string, f *cf.File) string {
	old := []string{"select_field", "table", "where_field", "additional_conditions", "select_function"}
	if f.Set("query") {
		f.Ignore("query is set, so this means nothing", old...)
		return f.Text("query", "")
	}
	f.Ignore("", append(old, "query")...)
	if name := f.Text("select_function", ""); name != "" && driver == sqlpool.PgSQL {
		return "SELECT " + name + "('%s')"
	}
	field, table, where := f.Text("select_field", ""), f.Text("table", ""), f.Text("where_field", "")
	if field == "" || table == "" || where == "" {
		f.Failf("query", "it is missing")
	}
	return strings.TrimSpace("SELECT " + field + " FROM " + table + " WHERE " + where + " = '%s' " + f.Text("additional_conditions", ""))
}

func parseQuery(driver string, placeholder func(int) string, in string) (*query, error) {
	t, err := cf.ParseTemplate(in)
	if err != nil {
		return nil, err
	}
	p := sqltext.NewParser[byte](driver, placeholder)
	t.Walk(p.Text, p.Variable)
	text, args, err := p.Done()
	if err != nil {
		return nil, err
	}
	return &query{sqlpool.NewStatement(text, len(args)), args}, nil
}

// values are the parameters for a key; ok is false when it lacks a part.
func (q *query) values(key cf.Address) (values []string, ok bool, err error) {
	values = make([]string, len(q.args))
	for i, arg := range q.args {
		var b strings.Builder
		for _, piece := range arg {
			text := piece.Text
			if piece.IsVar {
				if text, ok = key.Part(piece.Var); !ok {
					return nil, false, nil
				}
			}
			b.WriteString(text)
		}
		if b.Len() > maxParameter {
			return nil, false, fail.New(fail.Invalid, "a parameter is longer than %d bytes", maxParameter)
		}
		values[i] = b.String()
	}
	return values, true, nil
}

// maxParameter caps what is sent; keys are addresses and the like.
const maxParameter = 16 << 10
