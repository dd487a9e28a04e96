package server

// CHECK: RFC 3501 section 6.4.1. The store makes its own checkpoints.
func parseCheck(*parser, bool) runner { return noopCmd{"Check completed."} }
