package tlspolicy

// Level is how much is demanded.
type Level uint8

// The levels, in ascending order.
const (
	None        Level = iota // never encrypt
	May                      // encrypt when the peer offers it and it works
	Encrypt                  // or wait; whose certificate it is does not matter
	Fingerprint              // the certificate, or its key, is one that is listed
	Verify                   // the certificate is good for the host's name, which an unsigned MX record gave
	Secure                   // the certificate is good for the name of the next hop
)

var levels = [...]string{"none", "may", "encrypt", "fingerprint", "verify", "secure"}

func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return "unknown"
}

// ParseLevel reads the name of a level.
func ParseLevel(s string) (Level, bool) {
	for i, name := range levels {
		if s == name {
			return Level(i), true
		}
	}
	return None, false
}

// Authentic reports whether the peer must prove who it is.
func (l Level) Authentic() bool { return l >= Fingerprint }
