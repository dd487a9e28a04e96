package explain

import (
	"context"
	"testing"
)

type other struct{}

func TestNobodyHearsNothingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), other{}, "kept"))
	said := 0
	ctx = With(ctx, func(Step) { said++ })
	step := func() Step { return Step{What: "x"} }
	Say(ctx, step)
	quiet := Nobody(ctx)
	Say(quiet, step)
	if said != 1 {
		t.Errorf("heard %d steps, want 1", said)
	}
	if quiet.Value(other{}) != "kept" {
		t.Error("other values are lost")
	}
	cancel()
	if quiet.Err() == nil {
		t.Error("the end of the context is lost")
	}
}
