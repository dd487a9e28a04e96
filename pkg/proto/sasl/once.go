package sasl

import (
	gosasl "github.com/emersion/go-sasl"
)

// step is where a client, or the server of SCRAM, stands.
type step uint8

const (
	stepFirst step = iota
	stepProof
	stepFinal
	stepOver
	stepDone // and the server has proved itself
)

func (s step) complete() error {
	if s != stepDone {
		return errImpostor
	}
	return nil
}

// once is the server side of a mechanism whose client sends one message.
type once struct {
	mech  string
	take  func(response []byte) error
	asked bool
	done  bool
}

func (s *once) Next(response []byte) (challenge []byte, done bool, err error) {
	if s.done {
		return nil, false, gosasl.ErrUnexpectedClientResponse
	}
	if response == nil && !s.asked { // no initial response: ask with an empty challenge
		s.asked = true
		return []byte{}, false, nil
	}
	s.done = true
	if len(response) > MaxResponse {
		return nil, false, malformed(s.mech, "too long")
	}
	err = s.take(response)
	return nil, err == nil, err
}

// asked is the server side of a mechanism that begins with a challenge. An
// initial response is out of place there (RFC 4422 section 3) and ignored,
// as Dovecot does: some clients send an empty one.
type asked struct {
	mech      string
	challenge func() string
	// take judges the response; final goes along with the success.
	take func(response []byte) (final []byte, err error)

	sent string // the challenge
	step step
}

func (s *asked) Next(response []byte) (challenge []byte, done bool, err error) {
	step := s.step
	s.step = stepOver
	if len(response) > MaxResponse {
		return nil, false, malformed(s.mech, "too long")
	}
	switch step {
	case stepFirst:
		s.sent = s.challenge()
		s.step = stepProof
		return []byte(s.sent), false, nil
	case stepProof:
		final, err := s.take(response)
		return final, err == nil, err
	}
	return nil, false, gosasl.ErrUnexpectedClientResponse
}

// prove ends an exchange in which the backend was asked for a secret.
func prove(b Backend, ok bool) error {
	if err := b.Proved(ok); err != nil {
		return err
	}
	if !ok {
		return errNotProved
	}
	return nil
}
