package cf

import (
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// Common are the settings that all these tables have.
type Common struct {
	Domains Domains
	Limit   int // expansion_limit; 0: none
	format  Template
	source  string
	warn    text.Warn
}

// MaxValues is how many values a result may have when expansion_limit does
// not say, MaxResult how long it may be.
const (
	MaxValues = 100_000
	MaxResult = 1 << 20
)

// Common reads these settings.
func (f *File) Common(o lookup.Options) Common {
	c := Common{Limit: f.Number("expansion_limit", 0, 0, MaxValues), source: f.source, warn: f.warn}
	var err error
	key := "result_format"
	if !f.Set(key) && f.Set("result_filter") {
		key = "result_filter" // its name before Postfix 2.2
	}
	f.Ignore("", "result_format", "result_filter")
	c.format, err = ParseTemplate(f.Text(key, "%s"))
	f.Fail(key, err)
	c.Domains, err = ParseDomains(f.List("domain"), o)
	f.Fail("domain", err)
	return c
}

// Cap is how many values are enough to know that there are too many.
func (c *Common) Cap() int {
	if c.Limit > 0 {
		return c.Limit + 1
	}
	return MaxValues + 1
}

// Result puts values together, with commas.
type Result struct {
	common *Common
	key    Address
	text   []byte
	count  int
}

// NewResult is the result for a key, so far empty.
func (c *Common) NewResult(key Address) *Result { return &Result{common: c, key: key} }

// Add formats one more value; one that is empty, or lacks a part that the
// format needs, does not count. Errors: fail.Invalid when there are too many.
func (r *Result) Add(value string) error {
	if value == "" {
		r.common.warn(text.Problem{Source: r.common.source, Text: "a value is empty: it does not count"})
		return nil
	}
	formatted, ok := r.common.format.Format(value, r.key)
	if !ok {
		return nil
	}
	limit := r.common.Limit
	if limit == 0 {
		limit = MaxValues
	}
	if r.count++; r.count > limit {
		return fail.New(fail.Invalid, "%s: there are more than %d values (expansion_limit)", r.common.source, limit)
	}
	if r.count > 1 {
		r.text = append(r.text, ',')
	}
	if r.text = append(r.text, formatted...); len(r.text) > MaxResult {
		return fail.New(fail.Invalid, "%s: the values are longer than %d bytes", r.common.source, MaxResult)
	}
	return nil
}

// Text is the result. Errors: fail.NotFound when no value counted.
func (r *Result) Text() (string, error) {
	if len(r.text) == 0 {
		return "", fail.New(fail.NotFound, "%s: not found", r.common.source)
	}
	return string(r.text), nil
}
