package aliases

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// homes are .forward files by address and included file.
func homes(t *testing.T, files map[string]string, cfg ForwardConfig) (*Forwards, *[]string) {
	t.Helper()
	ignored := &[]string{}
	x := world(t, "", Config{})
	cfg.Delims, cfg.Parse, cfg.Local = "+", x.cfg.Parse, x.cfg.Local
	cfg.Ignored = func(a addr.Address, err error) { *ignored = append(*ignored, a.String()+" "+err.Error()) }
	cfg.Read = func(_ context.Context, a addr.Address, include string) (Forward, error) {
		text, ok := files[a.Local]
		extension := ok && strings.Contains(a.Local, "+")
		if !ok {
			base, _ := a.Split("+")
			text, ok = files[base]
		}
		if include != "" {
			text, ok = files[include]
		}
		switch {
		case !ok:
			return Forward{}, fail.New(fail.NotFound, "none")
		case text == "down":
			return Forward{}, fail.New(fail.Unavailable, "down")
		case text == "bad":
			return Forward{}, fail.New(fail.Denied, "bad owner")
		}
		return Forward{Path: "/home/" + a.Local, Extension: extension, Text: text}, nil
	}
	return NewForwards(cfg), ignored
}

// A user's files cannot make mtad read without end.
func TestForwardsThatDouble(t *testing.T) {
	files := map[string]string{"joe": ":include:/0", "/8": "x@far.example"}
	for i := range 8 {
		files[fmt.Sprintf("/%d", i)] = strings.Repeat(fmt.Sprintf(":include:/%d\n", i+1), 10)
	}
	x, _ := homes(t, files, ForwardConfig{})
	if got := show(x.Expand(context.Background(), addrOf(t, "joe@ours.example"))); got != "permanent" {
		t.Error(got)
	}
}

func TestForwards(t *testing.T) {
	files := map[string]string{
		"joe":             "# mine\n\\joe, ann@far.example\nann@far.example\n",
		"joe+x":           "x@far.example",
		"self":            "SELF@ours.example",
		"team":            "ann, \\tom, :include:/home/team/more",
		"prog":            "\"|/usr/bin/vacation prog\", /home/prog/mail",
		"empty":           "# nothing\n\n",
		"broken":          "\"joe",
		"bad":             "bad",
		"down":            "down",
		"round":           ":include:/round",
		"/round":          ":include:/round",
		"lost":            ":include:/nowhere",
		"downlist":        ":include:/down",
		"/down":           "down",
		"badlist":         "x@far.example, :include:/bad",
		"/bad":            "bad",
		"/home/team/more": "team, far@far.example",
	}
	x, ignored := homes(t, files, ForwardConfig{Commands: true, Files: true, Propagate: true})
	for _, tc := range []struct{ in, want string }{
		{"joe@ours.example", `\joe@ours.example, ann@far.example`},
		{"Joe+y@ours.example", "not found"},
		{"joe+y@ours.example", `\joe+y@ours.example, ann+y@far.example`},
		{"joe+x@ours.example", "x@far.example"},
		{"self@ours.example", `\self@ours.example`},
		{"team@ours.example", `ann@ours.example, \tom@ours.example, \team@ours.example, far@far.example`},
		{"prog@ours.example", "|/usr/bin/vacation prog, /home/prog/mail"},
		{"empty@ours.example", "not found"},
		{"nobody@ours.example", "not found"},
		{"broken@ours.example", "permanent"},
		{"bad@ours.example", "not found"},
		{"down@ours.example", "unavailable"},
		{"round@ours.example", "permanent"},
		{"lost@ours.example", "permanent"},
		{"downlist@ours.example", "unavailable"},
		{"badlist@ours.example", "permanent"},
	} {
		if got := show(x.Expand(context.Background(), addrOf(t, tc.in))); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.in, got, tc.want)
		}
	}
	if len(*ignored) != 1 || !strings.HasPrefix((*ignored)[0], "bad@ours.example bad owner") {
		t.Errorf("told: %q", *ignored)
	}
	targets, _ := x.Expand(context.Background(), addrOf(t, "prog@ours.example"))
	for _, target := range targets {
		if target.User != "prog" {
			t.Errorf("%+v is nobody's", target)
		}
	}
	x, _ = homes(t, files, ForwardConfig{})
	for in, want := range map[string]string{"prog@ours.example": "permanent", "joe+y@ours.example": `\joe+y@ours.example, ann@far.example`} {
		if got := show(x.Expand(context.Background(), addrOf(t, in))); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
