package waits

import (
	"context"
	"time"
)

type noticeKey struct{}

// With returns a context in which Notice calls f.
func With(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, noticeKey{}, f)
}

// Notice says that the caller is about to wait, on this goroutine.
func Notice(ctx context.Context) {
	if f, ok := ctx.Value(noticeKey{}).(func()); ok {
		f()
	}
}

// For waits for d, or until ctx ends. It gives no notice if there is nothing to
// wait for.
func For(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	Notice(ctx)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
