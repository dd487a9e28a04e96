package server

import "context"

// NAMESPACE: RFC 2342. There is one personal namespace.
func parseNamespace(*parser, bool) runner { return namespaceCmd{} }

type namespaceCmd struct{}

func (namespaceCmd) run(_ context.Context, s *call) reply {
	s.w.Raw("* NAMESPACE ((")
	s.w.String(s.start.Prefix)
	s.w.Raw(" ")
	s.w.String(string(rune(s.start.Delim)))
	s.w.Raw(")) NIL NIL\r\n")
	return ok("Namespace completed.")
}
