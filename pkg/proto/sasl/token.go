package sasl

import (
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// What the client hears about a token that was refused, as Dovecot 2.3 words
// it (RFC 7628 section 3.2.2; Google's description of XOAUTH2).
const (
	xoauth2Failure = `{"status":"401","schemes":"bearer","scope":"mail"}`
	bearerFailure  = `{"status":"invalid_token"}`
)

// maxPairs caps the key=value pairs of a response.
const maxPairs = 16

// tokenServer is XOAUTH2 or OAUTHBEARER. A refusal takes two steps: the client
// is told why, and answers that it has heard it.
type tokenServer struct {
	backend Backend
	mech    string
	failure string
	parse   func(response string) (Token, error)

	asked   bool
	done    bool
	refused error
}

// NewXOAuth2Server serves XOAUTH2:
//
//	response = "user=" user %x01 "auth=Bearer " token %x01 %x01
func NewXOAuth2Server(b Backend, _ Setting) gosasl.Server {
	return &tokenServer{backend: b, mech: "XOAUTH2", failure: xoauth2Failure, parse: parseXOAuth2}
}

// NewOAuthBearerServer serves OAUTHBEARER, RFC 7628:
//
//	response = gs2-header %x01 *(key "=" value %x01) %x01
func NewOAuthBearerServer(b Backend, _ Setting) gosasl.Server {
	return &tokenServer{backend: b, mech: "OAUTHBEARER", failure: bearerFailure, parse: parseOAuthBearer}
}

func (s *tokenServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.refused != nil:
		err, s.refused = s.refused, nil
		return nil, false, err
	case s.done:
		return nil, false, gosasl.ErrUnexpectedClientResponse
	case response == nil && !s.asked:
		s.asked = true
		return []byte{}, false, nil
	}
	s.done = true
	if len(response) > MaxResponse {
		return nil, false, malformed(s.mech, "too long")
	}
	t, err := s.parse(string(response))
	if err != nil {
		return nil, false, err
	}
	if err = s.verify(t); fail.Is(err, fail.Denied) {
		s.refused = err
		return []byte(s.failure), false, nil
	}
	return nil, err == nil, err
}

// verify asks the backend. A client without a token wants to hear what the
// failure says (RFC 7628 section 4.3).
func (s *tokenServer) verify(t Token) error {
	if t.User != "" {
		if err := checkName(s.mech, t.User); err != nil {
			return err
		}
	}
	if t.Value == "" {
		return errNotProved
	}
	return s.backend.VerifyToken(t)
}

func parseXOAuth2(response string) (Token, error) {
	v, err := tokenPairs("XOAUTH2", response)
	if err == nil && v["user"] == "" {
		err = malformed("XOAUTH2", "no user")
	}
	if err != nil {
		return Token{}, err
	}
	t := Token{User: v["user"]}
	t.Value, err = bearer("XOAUTH2", v["auth"])
	return t, err
}

func parseOAuthBearer(response string) (Token, error) {
	header, rest, _ := strings.Cut(response, "\x01")
	part := strings.Split(header, ",")
	if len(part) != 3 || part[2] != "" || part[0] != "n" && part[0] != "y" {
		return Token{}, malformed("OAUTHBEARER", "bad GS2 header")
	}
	var t Token
	if part[1] != "" {
		name, found := strings.CutPrefix(part[1], "a=")
		var ok bool
		if t.User, ok = unescapeName(name); !ok || !found || name == "" {
			return Token{}, malformed("OAUTHBEARER", "bad authorization identity")
		}
	}
	v, err := tokenPairs("OAUTHBEARER", rest)
	if err != nil {
		return Token{}, err
	}
	t.Value, err = bearer("OAUTHBEARER", v["auth"])
	return t, err
}

// tokenPairs reads key=value pairs, each of which ends in %x01. Keys that
// nobody knows are allowed, such as the host and port of RFC 7628.
func tokenPairs(mech, s string) (map[string]string, error) {
	parts := strings.Split(s, "\x01")
	if len(parts) > maxPairs {
		return nil, malformed(mech, "too many pairs")
	}
	out := make(map[string]string, len(parts))
	for _, p := range parts {
		if p == "" {
			continue
		}
		key, value, ok := strings.Cut(p, "=")
		if _, twice := out[key]; !ok || twice {
			return nil, malformed(mech, "not a list of different keys with values")
		}
		out[key] = value
	}
	return out, nil
}

// bearer takes the token out of an Authorization header; an empty header has
// an empty one.
func bearer(mech, header string) (string, error) {
	if header == "" {
		return "", nil
	}
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimLeft(token, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || !validToken(token) {
		return "", malformed(mech, "not a bearer token")
	}
	return token, nil
}

// validToken is b64token of RFC 6750 section 2.1.
func validToken(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return s != ""
}

// tokenClient is the other side of both.
type tokenClient struct {
	mech     string
	initial  string
	farewell string // the answer to a failure
	err      error
	step     step
}

// NewXOAuth2Client authenticates with XOAUTH2 as Authcid.
func NewXOAuth2Client(c Credentials) gosasl.Client {
	return newTokenClient("XOAUTH2", "user="+c.Authcid+"\x01", c, "")
}

// NewOAuthBearerClient authenticates with OAUTHBEARER as Authcid.
func NewOAuthBearerClient(c Credentials) gosasl.Client {
	header := "n,,\x01"
	if c.Authcid != "" {
		header = "n,a=" + escapeName(c.Authcid) + ",\x01"
	}
	return newTokenClient("OAUTHBEARER", header, c, "\x01")
}

func newTokenClient(mech, header string, c Credentials, farewell string) *tokenClient {
	t := &tokenClient{mech: mech, initial: header + "auth=Bearer " + c.Token + "\x01\x01", farewell: farewell}
	if !validToken(c.Token) || strings.IndexByte(c.Authcid, 1) >= 0 {
		t.err = fail.New(fail.Invalid, "%s needs a bearer token and a name without control characters", mech)
	}
	return t
}

func (c *tokenClient) Start() (mech string, ir []byte, err error) {
	c.step = stepFirst
	return c.mech, []byte(c.initial), c.err
}

// Next answers the empty challenge of a server that ignored the initial
// response, or a failure's; the server then says no.
func (c *tokenClient) Next(challenge []byte) ([]byte, error) {
	switch {
	case c.step == stepFirst && len(challenge) == 0:
		c.step = stepFinal
		return []byte(c.initial), c.err
	case c.step == stepFirst, c.step == stepFinal:
		c.step = stepOver
		return []byte(c.farewell), nil
	}
	return nil, gosasl.ErrUnexpectedServerChallenge
}
