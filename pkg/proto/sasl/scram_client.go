package sasl

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Iterations that the client accepts: fewer make the password easy to guess
// for whoever plays the server (RFC 7677 section 3), more would stop us.
const (
	minIterations = 4096
	maxIterations = 5_000_000
)

type scramClient struct {
	scram
	c     Credentials
	flag  string // "n", or "y": we could bind, the server cannot
	nonce string
	least int // iterations that are accepted
	step  step

	input string // gs2 header and binding data
	bare  string // client-first-message-bare
	want  []byte // ServerSignature
}

func useSHA1(c Credentials) gosasl.Client       { return scramSHA1().client(c) }
func useSHA1Plus(c Credentials) gosasl.Client   { return scramSHA1().withPlus().client(c) }
func useSHA256(c Credentials) gosasl.Client     { return scramSHA256().client(c) }
func useSHA256Plus(c Credentials) gosasl.Client { return scramSHA256().withPlus().client(c) }

func (h scram) client(c Credentials) gosasl.Client {
	return &scramClient{scram: h, c: c, flag: "n", nonce: Setting{}.random(), least: minIterations}
}

func (c *scramClient) Start() (mech string, ir []byte, err error) {
	flag, data := c.flag, []byte(nil)
	if c.plus {
		if flag, data, err = c.bind(); err != nil {
			return "", nil, err
		}
	}
	header := flag + ","
	if c.c.Authzid != "" {
		header += "a=" + escapeName(prepared(c.c.Authzid))
	}
	header += ","
	c.input = header + string(data)
	c.bare = "n=" + escapeName(prepared(c.c.Authcid)) + ",r=" + c.nonce
	c.step = stepProof
	return c.name, []byte(header + c.bare), nil
}

// bind makes the flag and the data of channel binding.
func (c *scramClient) bind() (flag string, data []byte, err error) {
	if c.c.Binder == nil {
		return "", nil, fail.New(fail.Invalid, "%s needs a TLS connection", c.name)
	}
	kind, data, err := binding(c.c.Binder)
	return "p=" + kind, data, err
}

// binding takes the first type of channel binding that a connection has.
func binding(b Binder) (kind string, data []byte, err error) {
	for _, kind = range []string{BindingExporter, BindingEndPoint} {
		if data, err = b.ChannelBinding(kind); err == nil {
			break
		}
	}
	return kind, data, err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) > MaxResponse {
		return nil, gosasl.ErrUnexpectedServerChallenge
	}
	step := c.step
	c.step = stepOver
	switch {
	case step == stepProof && len(challenge) == 0 && c.bare != "": // the server ignored the initial response
		_, ir, err := c.Start()
		c.step = stepFirst
		return ir, err
	case step == stepProof, step == stepFirst:
		response, err := c.prove(string(challenge))
		if err == nil {
			c.step = stepFinal
		}
		return response, err
	case step == stepFinal:
		if err := c.serverFinal(string(challenge)); err != nil {
			return nil, err
		}
		c.step = stepDone
		return []byte{}, nil
	}
	return nil, gosasl.ErrUnexpectedServerChallenge
}

// prove answers server-first-message.
func (c *scramClient) prove(first string) ([]byte, error) {
	attrs, ok := attributes(first)
	if !ok || len(attrs) < 3 || attrs[0].key != 'r' || attrs[1].key != 's' || attrs[2].key != 'i' {
		return nil, fail.New(fail.Permanent, "%s: server's first message is malformed", c.name)
	}
	nonce := attrs[0].value
	if !strings.HasPrefix(nonce, c.nonce) || len(nonce) == len(c.nonce) || len(nonce) > 2*maxNonce {
		return nil, fail.New(fail.Permanent, "%s: server did not extend the nonce", c.name)
	}
	salt, err := base64.StdEncoding.DecodeString(attrs[1].value)
	if err != nil || len(salt) > maxSalt {
		return nil, fail.New(fail.Permanent, "%s: server's salt is malformed", c.name)
	}
	iter, err := strconv.Atoi(attrs[2].value)
	if err != nil || iter < c.least || iter > maxIterations {
		return nil, fail.New(fail.Permanent, "%s: server wants %.20q iterations, allowed are %d to %d",
			c.name, attrs[2].value, c.least, maxIterations)
	}
	unproved := "c=" + base64.StdEncoding.EncodeToString([]byte(c.input)) + ",r=" + nonce
	text := c.bare + "," + first + "," + unproved
	clientKey, serverKey := c.keys(c.c.Password, salt, iter)
	c.want = c.mac(serverKey, text)
	proof := c.mac(c.sum(clientKey), text)
	subtle.XORBytes(proof, proof, clientKey)
	return []byte(unproved + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func (c *scramClient) serverFinal(message string) error {
	attrs, ok := attributes(message)
	if ok && attrs[0].key == 'e' {
		return fail.New(fail.Denied, "%s: server says %.60q", c.name, attrs[0].value)
	}
	if !ok || attrs[0].key != 'v' {
		return fail.New(fail.Permanent, "%s: server's last message is malformed", c.name)
	}
	if got, err := base64.StdEncoding.DecodeString(attrs[0].value); err != nil || !hmac.Equal(got, c.want) {
		return errImpostor
	}
	return nil
}

// Complete tells whether the server has proved that it knows the password.
func (c *scramClient) Complete() error { return c.step.complete() }
