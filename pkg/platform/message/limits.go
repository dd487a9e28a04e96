package message

// Limits cap what one message may cost. What is beyond a cap is ignored.
type Limits struct {
	Parts        int // parts in the whole tree; further ones stay inside their parent's body
	Depth        int // nesting of multiparts and embedded messages
	HeaderBytes  int // of one header block; the rest is skipped
	HeaderFields int // of one header block
	Params       int // parameters of one Content-Type or Content-Disposition field
	Addresses    int // of one address field
}

// DefaultLimits are the caps that Postcote works with everywhere.
func DefaultLimits() Limits {
	return Limits{
		Parts:        10_000,
		Depth:        100,
		HeaderBytes:  10 << 20,
		HeaderFields: 100_000,
		Params:       256,
		Addresses:    20_000,
	}
}
