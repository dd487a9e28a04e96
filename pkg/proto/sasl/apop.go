package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"fmt"
	"strconv"
	"strings"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
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

// NewAPOPServer serves APOP (RFC 1939 section 7) as Dovecot's login process
// hands it on:
//
//	response = challenge NUL user NUL 16OCTET
func NewAPOPServer(b Backend, set Setting) gosasl.Server {
	return &once{mech: "APOP", take: func(response []byte) error {
		challenge, user, proof, ok := parseAPOP(response)
		if !ok {
			return malformed("APOP", "not a challenge, a name and a digest")
		}
		if err := checkName("APOP", user); err != nil {
			return err
		}
		if !set.Stamp.made(challenge) {
			return malformed("APOP", "the challenge is not from this connection")
		}
		secret, err := b.Secret(Identity{Authcid: user}, SecretPlain)
		if err != nil {
			return err
		}
		want := md5.Sum([]byte(challenge + secret.Plain))
		return prove(b, hmac.Equal(want[:], proof) && secret.Plain != "")
	}}
}

func parseAPOP(response []byte) (challenge, user string, proof []byte, ok bool) {
	part := bytes.SplitN(response, []byte{0}, 3)
	if len(part) != 3 || len(part[2]) != md5.Size || len(part[0]) > MaxName {
		return "", "", nil, false
	}
	return string(part[0]), string(part[1]), part[2], true
}

// APOPResponse is what a login process makes of `APOP user digest`.
func APOPResponse(challenge, user string, digest [16]byte) []byte {
	return append([]byte(challenge+"\x00"+user+"\x00"), digest[:]...)
}

// NewAPOPClient authenticates at an auth service with APOP, for the challenge
// Stamped.
func NewAPOPClient(c Credentials) gosasl.Client {
	digest := md5.Sum([]byte(c.Stamped + c.Password))
	s := &sayOnce{mech: "APOP", message: string(APOPResponse(c.Stamped, c.Authcid, digest))}
	if c.Stamped == "" || strings.IndexByte(c.Stamped+c.Authcid, 0) >= 0 {
		s.err = fail.New(fail.Invalid, "APOP needs the challenge of the server's greeting, and a name without NUL")
	}
	return s
}
