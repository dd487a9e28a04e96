package sasl

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Stamp marks the APOP challenges of one connection between a login process
// and the auth service, as Dovecot does: <pid.connection.time.random@host>,
// numbers in hexadecimal. The two numbers are SPID and CUID of the service's
// greeting. The zero value accepts no challenge.
type Stamp struct {
	PID   uint32    // of the auth service
	Conn  uint32    // of the connection
	Since time.Time // challenges from before are not accepted
}

// Challenge makes a challenge. random must be different each time and consist
// of letters, digits, "+", "/" and "=".
func (s Stamp) Challenge(now time.Time, random, host string) string {
	return fmt.Sprintf("<%x.%x.%x.%s@%s>", s.PID, s.Conn, now.Unix(), random, host)
}

// made says whether challenge is one of s.
func (s Stamp) made(challenge string) bool {
	inner, ok := strings.CutPrefix(challenge, "<")
	if !ok {
		return false
	}
	f := strings.SplitN(inner, ".", 4)
	if len(f) != 4 {
		return false
	}
	pid, err1 := strconv.ParseUint(f[0], 16, 32)
	conn, err2 := strconv.ParseUint(f[1], 16, 32)
	at, err3 := strconv.ParseInt(f[2], 16, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	return s.PID != 0 && uint32(pid) == s.PID && uint32(conn) == s.Conn && at >= s.Since.Unix()
}
