package tlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Keeper holds the certificates of a daemon and replaces them when their
// files change. It is safe for concurrent use.
type Keeper struct {
	cfg Config
	log *obs.Logger

	mu      sync.Mutex // one check at a time
	pairs   []*pair
	now     atomic.Pointer[choice]
	clients *clientCA // nil without client_ca_file
}

// choice is what handshakes look at: immutable, replaced as a whole.
type choice struct {
	byName   map[string][]*tls.Certificate // exact names and "*.example.org"
	standard *tls.Certificate
	expiry   time.Time
}

// NewKeeper reads all files of cfg; each must be usable now.
func NewKeeper(cfg Config, log *obs.Logger) (*Keeper, error) {
	if !cfg.Enabled() {
		return nil, fail.New(fail.Invalid, "tls: no certificate is configured (tls.cert_file, tls.key_file)")
	}
	k := &Keeper{cfg: cfg, log: log}
	var faults []error
	for _, p := range cfg.pairs() {
		kept := &pair{Pair: p}
		if _, err := kept.refresh(); err != nil {
			faults = append(faults, err)
		}
		k.pairs = append(k.pairs, kept)
	}
	if cfg.ClientCAFile != "" {
		k.clients = &clientCA{file: cfg.ClientCAFile}
		if _, err := k.clients.refresh(); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	k.now.Store(choose(k.pairs))
	return k, nil
}

func choose(pairs []*pair) *choice {
	c := &choice{byName: map[string][]*tls.Certificate{}, standard: pairs[0].cert}
	for _, p := range pairs {
		if leaf := p.cert.Leaf; c.expiry.IsZero() || leaf.NotAfter.Before(c.expiry) {
			c.expiry = leaf.NotAfter
		}
		for _, name := range p.cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			c.byName[name] = append(c.byName[name], p.cert)
		}
	}
	return c
}

// Run looks at the files every Config.Poll until ctx is done.
func (k *Keeper) Run(ctx context.Context) {
	every := k.cfg.Poll.Std()
	if every <= 0 {
		every = DefaultConfig().Poll.Std()
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			k.Check()
		}
	}
}

// Check looks at the files once and takes over what changed and is usable. A pair that is not is reported at the second look, because the two
// files of a pair are not replaced in one instant, and only once.
func (k *Keeper) Check() {
	k.mu.Lock()
	defer k.mu.Unlock()
	changed := false
	for _, p := range k.pairs {
		fresh, err := p.refresh()
		switch {
		case fresh:
			changed = true
			k.log.Info("certificate replaced", slog.String("file", p.CertFile),
				slog.Time("not_after", p.cert.Leaf.NotAfter))
		case err != nil:
			k.log.Error("certificate files cannot be used, keeping the old ones", obs.Err(err))
		}
	}
	if changed {
		k.now.Store(choose(k.pairs))
	}
	k.checkClients()
}

func (k *Keeper) checkClients() {
	if k.clients == nil {
		return
	}
	switch fresh, err := k.clients.refresh(); {
	case fresh:
		k.log.Info("client authorities replaced", slog.String("file", k.clients.file))
	case err != nil:
		k.log.Error("client authorities cannot be used, keeping the old ones", obs.Err(err))
	}
}

// Expiry is the moment at which the first of the certificates ends.
func (k *Keeper) Expiry() time.Time { return k.now.Load().expiry }

// ExpirySeconds is Expiry as seconds since 1970, for a metric.
func (k *Keeper) ExpirySeconds() float64 { return float64(k.Expiry().Unix()) }

// Server returns a new server configuration; take one for each listener, so
// that a session ticket is worth nothing at another one.
func (k *Keeper) Server() *tls.Config {
	return &tls.Config{
		MinVersion:     minVersion(k.cfg.MinVersion),
		GetCertificate: k.pick,
	}
}

// pick chooses by the name that the client asks for; an unknown name gets the
// default, because mail clients are configured with all sorts of them and
// show their users what they got.
func (k *Keeper) pick(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	certs := k.now.Load().certificates(hello.ServerName)
	for _, cert := range certs {
		if len(certs) == 1 || hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return k.now.Load().standard, nil
}

// certificates are those for a name.
func (c *choice) certificates(name string) []*tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	certs := c.byName[name]
	if len(certs) == 0 {
		if _, parent, ok := strings.Cut(name, "."); ok {
			certs = c.byName["*."+parent]
		}
	}
	if len(certs) == 0 {
		return []*tls.Certificate{c.standard}
	}
	return certs
}

// Binding is the channel binding of a connection that was accepted with one of
// k's configurations. Where there are several certificates for the name it does
// not know which one it was, and has no "tls-server-end-point".
func (k *Keeper) Binding(state tls.ConnectionState) Binding {
	b := Binding{State: state}
	if certs := k.now.Load().certificates(state.ServerName); len(certs) == 1 {
		b.Server = certs[0].Leaf
	}
	return b
}

// Summary is the package's Summary of such a connection. Where there are
// several certificates for the name, it does not say which one it was.
func (k *Keeper) Summary(state tls.ConnectionState) string {
	var own, client *x509.Certificate
	if k != nil {
		own = k.Binding(state).Server
	}
	if len(state.PeerCertificates) > 0 {
		client = state.PeerCertificates[0]
	}
	return Summary(state, own, client)
}
