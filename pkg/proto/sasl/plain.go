package sasl

import (
	"bytes"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// plainServer is PLAIN, RFC 4616:
//
//	message = [authzid] UTF8NUL authcid UTF8NUL passwd
type plainServer struct {
	backend Backend
	asked   bool
	done    bool
}

// NewPlainServer serves PLAIN.
func NewPlainServer(b Backend) gosasl.Server { return &plainServer{backend: b} }

func (s *plainServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.done {
		return nil, false, gosasl.ErrUnexpectedClientResponse
	}
	if response == nil && !s.asked { // no initial response: ask with an empty challenge
		s.asked = true
		return []byte{}, false, nil
	}
	s.done = true
	c, err := parsePlain(response)
	if err == nil {
		err = verify(s.backend, "PLAIN", c)
	}
	return nil, err == nil, err
}

func parsePlain(response []byte) (Credentials, error) {
	if len(response) > MaxResponse {
		return Credentials{}, malformed("PLAIN", "too long")
	}
	parts := bytes.SplitN(response, []byte{0}, 4)
	if len(parts) != 3 {
		return Credentials{}, malformed("PLAIN", "not three parts separated by NUL")
	}
	return Credentials{Authzid: string(parts[0]), Authcid: string(parts[1]), Password: string(parts[2])}, nil
}

type plainClient struct{ c Credentials }

// NewPlainClient authenticates with PLAIN, in the initial response.
func NewPlainClient(c Credentials) gosasl.Client { return &plainClient{c} }

func (p *plainClient) Start() (mech string, ir []byte, err error) {
	for _, s := range []string{p.c.Authzid, p.c.Authcid, p.c.Password} {
		if bytes.IndexByte([]byte(s), 0) >= 0 {
			return "", nil, fail.New(fail.Invalid, "PLAIN credentials contain NUL")
		}
	}
	return "PLAIN", []byte(p.c.Authzid + "\x00" + p.c.Authcid + "\x00" + p.c.Password), nil
}

// Next answers the empty challenge of a server that ignored the initial
// response; any other challenge is not PLAIN.
func (p *plainClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) != 0 {
		return nil, gosasl.ErrUnexpectedServerChallenge
	}
	_, ir, err := p.Start()
	return ir, err
}
