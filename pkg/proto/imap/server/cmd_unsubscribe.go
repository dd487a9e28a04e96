package server

// UNSUBSCRIBE: RFC 3501 section 6.3.7.
func parseUnsubscribe(p *parser, _ bool) runner { return &subscribeCmd{p.mailbox(), false} }
