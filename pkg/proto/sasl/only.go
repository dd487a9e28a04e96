package sasl

import "github.com/postcote/postcote/pkg/platform/fail"

// OnlyPasswords is for embedding by backends that can check passwords and
// nothing else: it has every other method of Backend, each of which refuses.
type OnlyPasswords struct{}

// errOnly is an outage: such a backend must not have offered the mechanism.
var errOnly = fail.New(fail.Unavailable, "only passwords can be checked here")

// Secret knows none.
func (OnlyPasswords) Secret(Identity, SecretKind) (Secret, error) { return Secret{}, errOnly }

// Proved accepts nothing.
func (OnlyPasswords) Proved(bool) error { return errOnly }

// VerifyToken accepts nothing.
func (OnlyPasswords) VerifyToken(Token) error { return errOnly }

// VerifyExternal accepts nothing.
func (OnlyPasswords) VerifyExternal(string) error { return errOnly }

// VerifyAnonymous accepts nothing.
func (OnlyPasswords) VerifyAnonymous(string) error { return errOnly }

// ChannelBinding knows none.
func (OnlyPasswords) ChannelBinding(string) ([]byte, error) { return nil, errOnly }
