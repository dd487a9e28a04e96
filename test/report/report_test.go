package main

import (
	"strings"
	"testing"
)

func TestDigest(t *testing.T) {
	const ok = `{"Action":"output","Package":"a","Output":"PASS\n"}
{"Action":"output","Package":"a","Output":"ok  \ta\t0.01s\n"}
{"Action":"pass","Package":"a"}
`
	for _, c := range []struct{ name, in, want string }{
		{"a test that passed is not told", `{"Action":"run","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Test":"TestX","Output":"=== RUN   TestX\n"}
{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:1: chatter\n"}
{"Action":"pass","Package":"a","Test":"TestX"}
` + ok, "ok  \ta\t0.01s\n"},
		{"a skipped one is, with its reason", `{"Action":"output","Package":"a","Test":"TestX/y","Output":"    x_test.go:7: needs root\n"}
{"Action":"output","Package":"a","Test":"TestX/y","Output":"--- SKIP: TestX/y (0.00s)\n"}
{"Action":"skip","Package":"a","Test":"TestX/y"}
` + ok, "ok  \ta\t0.01s\n    skipped TestX/y: x_test.go:7: needs root\n1 skipped\n"},
		{"a failed one with all it said, and no other", `{"Action":"output","Package":"a","Test":"TestX","Output":"    x_test.go:7: got 1\n"}
{"Action":"output","Package":"a","Test":"TestY","Output":"    y_test.go:7: fine\n"}
{"Action":"pass","Package":"a","Test":"TestY"}
{"Action":"output","Package":"a","Test":"TestX","Output":"--- FAIL: TestX (0.00s)\n"}
{"Action":"fail","Package":"a","Test":"TestX"}
{"Action":"output","Package":"a","Output":"FAIL\n"}
{"Action":"fail","Package":"a"}
`, "    x_test.go:7: got 1\n--- FAIL: TestX (0.00s)\nFAIL\n"},
		{"a package that broke off: what was under way", `{"Action":"output","Package":"a","Test":"TestX","Output":"panic: no\n"}
{"Action":"output","Package":"a","Output":"FAIL\ta\t0.1s\n"}
{"Action":"fail","Package":"a"}
`, "panic: no\nFAIL\ta\t0.1s\n"},
		{"a build that failed", `{"ImportPath":"a","Action":"build-output","Output":"a.go:1: no\n"}
{"ImportPath":"a","Action":"build-fail"}
{"Action":"output","Package":"a","Output":"FAIL\ta [build failed]\n"}
{"Action":"fail","Package":"a","FailedBuild":"a"}
`, "a.go:1: no\nFAIL\ta [build failed]\n"},
		{"a line that is no event", "ld: warning\n", "ld: warning\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out strings.Builder
			if err := digest(strings.NewReader(c.in), &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("got  %q\nwant %q", out.String(), c.want)
			}
		})
	}
}
