package server

import "context"

// COMPRESS: RFC 4978 section 3.
//
//	compress = "COMPRESS" SP "DEFLATE"
func parseCompress(p *parser, _ bool) runner {
	p.SP()
	if p.Word() != "DEFLATE" {
		p.Fail("Unknown compression mechanism")
	}
	return compressCmd{}
}

// spareInput is what compressed input may expand to beyond its ratio, besides
// one message: commands of a client that repeats itself.
const spareInput = 1 << 20

type compressCmd struct{}

func (compressCmd) run(_ context.Context, s *call) reply {
	switch {
	case s.io.inflate != nil:
		r := bad("Compression is active already.")
		r.code = "COMPRESSIONACTIVE"
		return r
	case s.announced("COMPRESS=DEFLATE") == nil: // switched off
		return bad("Error in IMAP command COMPRESS: Unknown command.")
	}
	s.then = func() {
		_ = s.w.Flush() // an error stays with the writer
		s.io.compress(&s.srv.bufs, s.r.Buffered(), s.srv.cfg.MaxMessage+spareInput)
		s.r.Drop()
	}
	return ok("DEFLATE active.")
}
