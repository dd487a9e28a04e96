package main

import (
	"strings"
	"testing"
)

func TestReportGrowth(t *testing.T) {
	s := Suite{Name: "growth", Rows: []Growth{
		{Name: "flat", Sizes: [3]int{1, 10, 100}, Most: 1.2},
		{Name: "steep", Sizes: [3]int{10, 100, 1000}, Most: 1.2},
		{Name: "unmeasured", Sizes: [3]int{10, 100, 1000}, Most: 2},
	}}
	var out strings.Builder
	reportGrowth(&out, s, []curve{{100, 90, 110}, {10, 20, 3000}, {}})
	want := `
growth      sizes       CPU/op    10x      100x      slope    goal
flat        1 to 100    100.0 us  90.0 us  110.0 us  1.10x    1.2x, met
steep       10 to 1000  10.0 us   20.0 us  3.0 ms    300.00x  1.2x, missed
unmeasured  10 to 1000  0.0 us    0.0 us   0.0 us    -        2x
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got:%s\nwant:%s", got, want)
	}
}

// As many users as connections, if so many files can be opened.
func TestIdlers(t *testing.T) {
	for _, tc := range [][3]int{{10000, 100000, 10000}, {10000, 20000, 9800}, {100, 20000, 100}, {10000, 100, 1}} {
		if got := idlers(tc[0], tc[1]); got != tc[2] {
			t.Errorf("%d connections, %d files: %d users, not %d", tc[0], tc[1], got, tc[2])
		}
	}
}
