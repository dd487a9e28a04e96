package routing

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/maps"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// StatusFilters change what the end of a delivery means (Postfix:
// default_delivery_status_filter, smtp_delivery_status_filter and the like).
type StatusFilters struct {
	usual maps.Map
	named map[string]maps.Map
}

// Filters opens the tables.
func (c Config) Filters(o lookup.Options) (*StatusFilters, error) {
	f := &StatusFilters{named: map[string]maps.Map{}}
	var err error
	if f.usual, err = maps.Open("default_delivery_status_filter", c.StatusFilter, o); err != nil {
		return nil, err
	}
	for name, t := range c.Transports {
		if len(t.StatusFilter) == 0 {
			continue
		}
		if f.named[name], err = maps.Open("transports["+name+"].delivery_status_filter", t.StatusFilter, o); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Apply looks each result up, as "X.Y.Z text", and takes the value in its
// place. Success stays success, and failure failure. With a table that cannot
// be asked nothing fails for good.
func (f *StatusFilters) Apply(ctx context.Context, transport string, out *queue.Outcome) {
	table, own := f.named[transport]
	if !own {
		table = f.usual
	}
	if table.Empty() {
		return
	}
	for i := range out.Results {
		r := &out.Results[i]
		value, err := table.Lookup(ctx, r.Code.String()+" "+r.Reason)
		switch {
		case err == nil:
			replace(r, value)
		case !fail.Is(err, fail.NotFound) && r.Status == queue.Failed:
			r.Status, r.Code = queue.Deferred, queue.Code{Class: 4, Subject: 3}
			r.Reason = table.Key + ": " + err.Error() + " (" + r.Reason + ")"
		}
	}
}

// replace puts a value of the table in the place of a result. One that would
// turn success into failure, or is none, does not count.
func replace(r *queue.Result, value string) {
	code, text, _ := strings.Cut(strings.TrimSpace(value), " ")
	c, ok := queue.ParseCode(code)
	if !ok || (c.Class == 2) != (r.Status == queue.Delivered) {
		return
	}
	r.Code, r.Diagnostic = c, ""
	if text = strings.TrimSpace(text); text != "" {
		r.Reason = text
	}
	switch c.Class {
	case 4:
		r.Status = queue.Deferred
	case 5:
		r.Status = queue.Failed
	}
}
