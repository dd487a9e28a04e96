package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is the section `redis`.
type Config struct {
	Addresses    []string        `yaml:"addresses" example:"[\"127.0.0.1:6379\"]" doc:"Servers, host:port or the path of a Unix socket. Empty: failures are remembered by this node alone. Several are the nodes of a cluster, or sentinels if sentinel_master is set."`
	Sentinel     string          `yaml:"sentinel_master" doc:"Name of the master that the sentinels know."`
	User         string          `yaml:"user" doc:"Redis user; empty means the default one."`
	PasswordFile conf.SecretFile `yaml:"password_file" path:"read" doc:"File with the Redis password."`
	KeyFile      conf.SecretFile `yaml:"key_file" path:"read" doc:"File with a random secret, the same on all nodes, at least 16 characters: it makes the fingerprints of wrong passwords useless to others."`
	Database     int             `yaml:"database" min:"0" doc:"Number of the database."`
	Prefix       string          `yaml:"prefix" doc:"What our keys begin with."`
	TLS          bool            `yaml:"tls" doc:"Encrypt, and verify the server's certificate."`
	CAFile       string          `yaml:"ca_file" path:"read" doc:"Certificates that the server's must lead to; empty means the system's."`
	Timeout      conf.Duration   `yaml:"timeout" min:"10ms" max:"10s" doc:"How long one question may take; after that this node's own memory serves for a while."`
}

// DefaultConfig is the section when it says nothing.
func DefaultConfig() Config {
	return Config{Prefix: "postcote:auth", Timeout: conf.Duration(250 * time.Millisecond)}
}

// minKey is the least length of the nodes' common secret.
const minKey = 16

// Validate reports what cannot work.
func (c Config) Validate(p *conf.Reporter) {
	if len(c.Addresses) > 0 && c.KeyFile == "" {
		p.At("key_file").Hint("head -c 32 /dev/urandom | base64 > FILE, on one node, and copy it").Errorf("the nodes need a common secret")
	}
	for i, a := range c.Addresses {
		if !strings.HasPrefix(a, "/") && !strings.Contains(a, ":") {
			p.At("addresses[%d]", i).Errorf("%q is neither host:port nor the path of a socket", a)
		}
	}
}

// maxTries caps a key's set.
const maxTries = 64

// Store is the throttle.Store. Close it after use.
type Store struct {
	rdb     goredis.UniversalClient
	prefix  string
	life    time.Duration
	timeout time.Duration
	now     func() time.Time
}

// Open makes a store that forgets a try after life. It connects when it is
// first asked. key is the nodes' common secret, for throttle.Guard.
func Open(c Config, life time.Duration, now func() time.Time) (s *Store, key string, err error) {
	if key, err = c.KeyFile.Read(); err != nil {
		return nil, "", err
	}
	if len(key) < minKey {
		return nil, "", fail.New(fail.Invalid, "redis: the secret in %s is shorter than %d characters", c.KeyFile, minKey)
	}
	// The library writes to standard error by itself, past the log. What matters
	// comes back as an error, too.
	logging.Disable()
	o := &goredis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.Sentinel, Username: c.User, DB: c.Database,
		DialTimeout: c.Timeout.Std(), ReadTimeout: c.Timeout.Std(), WriteTimeout: c.Timeout.Std(), PoolTimeout: c.Timeout.Std(),
		ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, // Fallback is the one that tries again
	}
	if c.PasswordFile != "" {
		if o.Password, err = c.PasswordFile.Read(); err != nil {
			return nil, "", err
		}
	}
	if c.TLS {
		if o.TLSConfig, err = tlsConfig(c.CAFile); err != nil {
			return nil, "", err
		}
	}
	return &Store{rdb: goredis.NewUniversalClient(o), prefix: c.Prefix, life: life, timeout: c.Timeout.Std(), now: now}, key, nil
}

func tlsConfig(caFile string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "redis: ca_file")
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fail.New(fail.Invalid, "redis: ca_file %s holds no certificate", caFile)
	}
	return t, nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.rdb.Close() }

func (s *Store) tryKey(key string) string    { return s.prefix + ":try:" + key }
func (s *Store) friendKey(key string) string { return s.prefix + ":friend:" + key }

func (s *Store) wrap(err error) error { return fail.Wrap(fail.Unavailable, err, "redis") }

// Count is a method of throttle.Store.
func (s *Store) Count(ctx context.Context, key string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	since := "(" + strconv.FormatInt(s.now().Add(-s.life).UnixMilli(), 10)
	n, err := s.rdb.ZCount(ctx, s.tryKey(key), since, "+inf").Result()
	return int(n), s.wrap(err)
}

// Add is a method of throttle.Store. A known try keeps its time, so that a
// client that repeats itself is forgotten like others.
func (s *Store) Add(ctx context.Context, key string, try uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	k, now := s.tryKey(key), s.now()
	_, err := s.rdb.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.ZRemRangeByScore(ctx, k, "-inf", strconv.FormatInt(now.Add(-s.life).UnixMilli(), 10))
		p.ZAddNX(ctx, k, goredis.Z{Score: float64(now.UnixMilli()), Member: strconv.FormatUint(try, 36)})
		p.ZRemRangeByRank(ctx, k, 0, -maxTries-1)
		p.PExpire(ctx, k, s.life)
		return nil
	})
	return s.wrap(err)
}

// Clear is a method of throttle.Store.
func (s *Store) Clear(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.wrap(s.rdb.Del(ctx, s.tryKey(key)).Err())
}

// maxFriends caps a key's circle.
const maxFriends = 8

// Befriend is a method of throttle.Store.
func (s *Store) Befriend(ctx context.Context, key, member string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	k := s.friendKey(key)
	_, err := s.rdb.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.ZAdd(ctx, k, goredis.Z{Score: float64(s.now().UnixMilli()), Member: member})
		p.ZRemRangeByRank(ctx, k, 0, -maxFriends-1)
		p.PExpire(ctx, k, throttle.FriendLife)
		return nil
	})
	return s.wrap(err)
}

// Friend is a method of throttle.Store.
func (s *Store) Friend(ctx context.Context, key, member string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	seen, err := s.rdb.ZScore(ctx, s.friendKey(key), member).Result()
	if err == goredis.Nil {
		return false, nil
	}
	return err == nil && int64(seen) > s.now().Add(-throttle.FriendLife).UnixMilli(), s.wrap(err)
}
