package userdbclient

import (
	"context"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/link"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/seal"
)

// errNoKey is for tokens that nobody can have sealed.
var errNoKey = fail.New(fail.Denied, "a sealed login, but the auth service has no key of ours")

// sealing is the key that the server seals logins with. A connection has a key
// of its own; what was sealed with the last one's is lost with it.
type sealing struct {
	mu     sync.Mutex
	asked  *link.Conn // the connection that the key was, or is being, sent on
	name   string     // empty: the server has no key
	opener *seal.Opener
}

// due is true once for each connection to a server that seals.
func (s *sealing) due(conn *link.Conn) bool {
	if conn == nil {
		return false
	}
	h, _ := conn.Greeting.(*handshake)
	s.mu.Lock()
	defer s.mu.Unlock()
	if h == nil || !h.seals || s.asked == conn {
		return false
	}
	s.asked = conn
	return true
}

func (s *sealing) set(name string, o *seal.Opener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name, s.opener = name, o
}

// offerKey sends the server a new key. If that fails, logins are redeemed.
func (c *Client) offerKey(ctx context.Context) {
	key, name := seal.NewKey()
	o, err := seal.NewOpener(key)
	if err != nil {
		return
	}
	if line, _, err := c.exchange(ctx, "SEAL", []string{name, key.Hex()}); err == nil && line.Verb == "OK" {
		c.seal.set(name, o)
	}
}

// SealName is the name of the key by which the server may seal logins for us,
// or empty: what authclient.Request.Seal says. It is no secret.
func (c *Client) SealName() string {
	c.seal.mu.Lock()
	defer c.seal.mu.Unlock()
	return c.seal.name
}

// Unseal is Redeem for a login that came sealed; it asks nobody. Errors:
// fail.Denied (not of the server, of another login, used, expired).
func (c *Client) Unseal(clientPID, requestID uint32, sealed string) (UserRecord, error) {
	c.seal.mu.Lock()
	o := c.seal.opener
	c.seal.mu.Unlock()
	if o == nil {
		return UserRecord{}, errNoKey
	}
	raw, err := o.Open(seal.Login{ClientPID: clientPID, RequestID: requestID}, sealed, time.Now())
	if err != nil {
		return UserRecord{}, err
	}
	line, err := dovecotauth.Parse(raw)
	if err != nil {
		return UserRecord{}, err
	}
	return parseRecord(line)
}
