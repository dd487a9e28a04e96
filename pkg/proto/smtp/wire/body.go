package wire

// BareLF is what happens to content with an LF that does not follow a CR.
type BareLF uint8

// The policies. None of them lets a bare LF end a message.
const (
	// NormalizeBareLF takes a bare LF as CRLF; a line of one dot that touches a
	// bare LF is dropped.
	NormalizeBareLF BareLF = iota
	// RejectBareLF refuses the message after it was read.
	RejectBareLF
)
