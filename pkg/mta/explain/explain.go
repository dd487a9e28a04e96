package explain

import "context"

// Step is one decision.
type Step struct {
	Key    string `json:"key,omitempty"`    // of the configuration that decided, dotted: "rewrite.canonical_maps"
	What   string `json:"what"`             // the kind of decision: "sender", "recipient", "class", "transport", ...
	Input  string `json:"input,omitempty"`  // what was decided on
	Result string `json:"result,omitempty"` // the decision
	Match  string `json:"match,omitempty"`  // key that a table was found to have
}

type key struct{}

// With makes hear get the steps of what is done with the context. It is
// called by one goroutine at a time only if the context is used so.
func With(ctx context.Context, hear func(Step)) context.Context {
	return context.WithValue(ctx, key{}, hear)
}

// Nobody is ctx without a listener. Saying nothing is cheap with it, because
// none is looked for.
func Nobody(ctx context.Context) context.Context { return deaf{ctx} }

type deaf struct{ context.Context }

func (d deaf) Value(k any) any {
	if _, ok := k.(key); ok {
		return nil
	}
	return d.Context.Value(k)
}

// Say tells a step. make is called only when somebody listens.
func Say(ctx context.Context, make func() Step) {
	if hear, ok := ctx.Value(key{}).(func(Step)); ok {
		hear(make())
	}
}
