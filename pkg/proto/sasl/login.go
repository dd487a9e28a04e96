package sasl

import (
	gosasl "github.com/emersion/go-sasl"
)

// The prompts that Dovecot and every old client agree on. LOGIN never became
// an RFC; draft-murchison-sasl-login describes it.
const (
	promptUser     = "Username:"
	promptPassword = "Password:"
)

type loginServer struct {
	backend Backend
	step    loginStep
	name    string
}

type loginStep uint8

const (
	loginStart loginStep = iota
	loginName
	loginPassword
	loginOver
)

// NewLoginServer serves LOGIN. An initial response counts as the user name, as
// Outlook and go-smtp's client send it.
func NewLoginServer(b Backend, _ Setting) gosasl.Server { return &loginServer{backend: b} }

func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.step == loginStart && response == nil {
		s.step = loginName
		return []byte(promptUser), false, nil
	}
	if len(response) > MaxResponse {
		s.step = loginOver
		return nil, false, malformed("LOGIN", "too long")
	}
	switch s.step {
	case loginStart, loginName:
		s.name = string(response)
		s.step = loginPassword
		if err := checkName("LOGIN", s.name); err != nil {
			s.step = loginOver
			return nil, false, err
		}
		return []byte(promptPassword), false, nil
	case loginPassword:
		s.step = loginOver
		err = verify(s.backend, "LOGIN", Credentials{Authcid: s.name, Password: string(response)})
		return nil, err == nil, err
	}
	return nil, false, gosasl.ErrUnexpectedClientResponse
}

type loginClient struct {
	c    Credentials
	step loginStep
}

// NewLoginClient authenticates with LOGIN. It sends no initial response, which
// some servers refuse, and answers by order: the wording of prompts varies.
// Authzid is not expressible and ignored.
func NewLoginClient(c Credentials) gosasl.Client { return &loginClient{c: c} }

func (l *loginClient) Start() (mech string, ir []byte, err error) {
	l.step = loginName
	return "LOGIN", nil, nil
}

func (l *loginClient) Next([]byte) ([]byte, error) {
	switch l.step {
	case loginName:
		l.step = loginPassword
		return []byte(l.c.Authcid), nil
	case loginPassword:
		l.step = loginOver
		return []byte(l.c.Password), nil
	}
	return nil, gosasl.ErrUnexpectedServerChallenge
}
