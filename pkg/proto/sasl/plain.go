package sasl

import (
	"bytes"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// NewPlainServer serves PLAIN, RFC 4616:
//
//	message = [authzid] UTF8NUL authcid UTF8NUL passwd
func NewPlainServer(b Backend, _ Setting) gosasl.Server {
	return &once{mech: "PLAIN", take: func(response []byte) error {
		c, err := parsePlain(response)
		if err != nil {
			return err
		}
		return verify(b, "PLAIN", c)
	}}
}

func parsePlain(response []byte) (Credentials, error) {
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
