package routing

import (
	"context"
	"fmt"
	"testing"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

func TestStatusFilters(t *testing.T) {
	c := Config{
		StatusFilter: []string{"pcre:{ {/^5\\.1\\.1 .*greylist/ 4.7.1 try later}, {/^4\\.7\\.5 (.*)/ 5.7.5 $1}, {/^2\\./ 5.0.0 no}, {/^5\\.9\\.9/ 2.0.0 fine}, {/^4\\.4\\.4/ nonsense}, {/^5\\.2\\.2/ 5.2.3} }"},
		Transports: map[string]Transport{
			"own": {StatusFilter: []string{"pcre:{ {/^5.1.1 gone$/ 4.1.1 perhaps} }"}}, "down": {StatusFilter: []string{"fail:x"}}, "none": {},
		},
	}
	f, err := c.Filters(lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		transport, in string
		status        queue.Status
		want          string
		after         queue.Status
	}{
		{"smtp", "5.1.1 you are greylisted", queue.Failed, "4.7.1 try later", queue.Deferred},
		{"smtp", "5.1.1 no such user", queue.Failed, "5.1.1 no such user", queue.Failed},
		{"smtp", "4.7.5 no TLS", queue.Deferred, "5.7.5 no TLS", queue.Failed},
		{"smtp", "2.0.0 Ok", queue.Delivered, "2.0.0 Ok", queue.Delivered},
		{"smtp", "5.9.9 x", queue.Failed, "5.9.9 x", queue.Failed},
		{"smtp", "4.4.4 x", queue.Deferred, "4.4.4 x", queue.Deferred},
		{"smtp", "5.2.2 over quota", queue.Failed, "5.2.3 over quota", queue.Failed},
		{"none", "4.7.5 no TLS", queue.Deferred, "5.7.5 no TLS", queue.Failed},
		{"own", "5.1.1 gone", queue.Failed, "4.1.1 perhaps", queue.Deferred},
		{"own", "4.7.5 no TLS", queue.Deferred, "4.7.5 no TLS", queue.Deferred},
		{"down", "2.0.0 Ok", queue.Delivered, "2.0.0 Ok", queue.Delivered},
	} {
		r := queue.Result{Status: tc.status, Reason: tc.in[6:], Diagnostic: "x"}
		r.Code, _ = queue.ParseCode(tc.in[:5])
		out := queue.Outcome{Results: []queue.Result{r}}
		f.Apply(context.Background(), tc.transport, &out)
		got := out.Results[0]
		if text := fmt.Sprint(got.Code.String(), " ", got.Reason); text != tc.want || got.Status != tc.after {
			t.Errorf("%s, %s: %s, %s", tc.transport, tc.in, text, got.Status)
		}
	}
	out := queue.Outcome{Results: []queue.Result{{Status: queue.Failed, Code: queue.Code{Class: 5}, Reason: "no"}}}
	if f.Apply(context.Background(), "down", &out); out.Results[0].Status != queue.Deferred {
		t.Errorf("without the table mail is returned: %+v", out.Results[0])
	}
	if _, err := (Config{StatusFilter: []string{"what"}}).Filters(lookup.Options{}); err == nil {
		t.Error("a table without a type is taken")
	}
}
