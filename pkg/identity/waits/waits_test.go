package waits

import (
	"context"
	"testing"
	"time"
)

func TestFor(t *testing.T) {
	noticed := 0
	ctx, cancel := context.WithCancel(With(t.Context(), func() { noticed++ }))
	For(ctx, 0)
	For(ctx, -time.Second)
	if noticed != 0 {
		t.Errorf("%d notices of no wait", noticed)
	}
	For(ctx, time.Millisecond)
	if noticed != 1 {
		t.Errorf("%d notices of a wait", noticed)
	}
	cancel()
	began := time.Now()
	For(ctx, time.Hour) // ends with ctx
	if time.Since(began) > time.Minute {
		t.Error("it waited for its time")
	}
	Notice(t.Context()) // nobody listens
}
