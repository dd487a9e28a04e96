package server

import "context"

// NOOP: RFC 3501 section 6.1.2. What is new is told after every command.
func parseNoop(*parser, bool) runner { return noopCmd{"NOOP completed."} }

type noopCmd struct{ text string }

func (c noopCmd) run(context.Context, *call) reply { return ok(c.text) }
