package route

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

// Domains come from several tables; one that is away makes the answer unknown
// unless one before it knows the domain.
func TestDomainTables(t *testing.T) {
	ts, err := OpenTables([]string{"inline:{a.example=x}", "inline:{b.example=x}", "fail:away"}, lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a.example", "b.example"} {
		if has, err := ts.HasMailboxes(t.Context(), d); !has || err != nil {
			t.Errorf("%s: %v %v", d, has, err)
		}
	}
	if has, err := ts.HasMailboxes(t.Context(), "c.example"); has || !fail.Is(err, fail.Unavailable) {
		t.Errorf("c.example: %v %v", has, err)
	}
	if ts, err = OpenTables([]string{"inline:{a.example=x}"}, lookup.Options{}); err != nil {
		t.Fatal(err)
	}
	if has, err := ts.HasMailboxes(t.Context(), "c.example"); has || err != nil {
		t.Errorf("c.example: %v %v", has, err)
	}
	for _, bad := range []string{"nope:/etc/domains", "socketmap:/run/x", "domains"} {
		if _, err := OpenTables([]string{bad}, lookup.Options{}); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if ts, err := OpenTables(nil, lookup.Options{}); ts != nil || err != nil {
		t.Error(ts, err)
	}
}
