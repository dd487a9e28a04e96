package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/test/bench/peer"
)

// The users of the suite: cheapN keep their password readable, slowN have it
// hashed at the usual cost of crypt(3). All have the same one.
const (
	authPassword = "correct horse"
	cheapUsers   = 1000
	slowUsers    = 12000 // a run takes fresh ones, so that no cache helps
)

// authSuite compares authd with Dovecot's auth service on the auth client socket.
func authSuite() Suite {
	return Suite{Name: "auth", Start: startAuth, Scenarios: []Scenario{
		{Name: "PLAIN, cheap scheme, pipelined", N: 40000, Goals: Goals{"rate": Times(2), "CPU/op": Part(3)}, Run: cheapPipelined},
		{Name: "PLAIN, cheap scheme, one at a time", N: 8000, Goals: Goals{"CPU/op": Part(2), "p50": Times(1)}, Run: cheapSerial},
		{Name: "SHA512-CRYPT, distinct users", N: 300, Run: slowDistinct},
		{Name: "SHA512-CRYPT, same user again", N: 1000, Goals: Goals{"CPU/op": MostTime(30 * time.Microsecond)}, Run: slowAgain},
		{Name: "cheap while all hash slots are busy", N: 100, Goals: Goals{"p99": MostTime(10 * time.Millisecond)}, Run: cheapAmongSlow},
		{Name: "10 000 idle connections", N: 10000, Goals: Goals{"memory": MostBytes(100 << 20)}, Run: idleConnections},
	}}
}

func startAuth(_ context.Context, dir string, o Options) (targets []*peer.Server, err error) {
	users := filepath.Join(dir, "users")
	if err := writeAuthUsers(users); err != nil {
		return nil, err
	}
	if peer.HasDovecot() {
		base := filepath.Join(dir, "dovecot")
		if err := os.Mkdir(base, 0o755); err != nil {
			return nil, err
		}
		socket := filepath.Join(base, "run/auth-client")
		p, err := peer.Dovecot(base, fmt.Sprintf(authDovecotConfig, users), peer.Answers(socket))
		if err != nil {
			return nil, err
		}
		p.Auth = socket
		targets = append(targets, p)
	}
	socket := filepath.Join(dir, "auth-client")
	config := filepath.Join(dir, "authd.yaml")
	if err := os.WriteFile(config, []byte(fmt.Sprintf(authdConfig, dir, users)), 0o644); err != nil {
		return targets, err
	}
	p, err := peer.Start(filepath.Join(dir, "authd.log"), peer.Answers(socket), filepath.Join(o.Bin, "authd"), "serve", "-c", config)
	if err != nil {
		return targets, err
	}
	p.Auth = socket
	return append(targets, p), nil
}

// A careful operator's Dovecot: logins are cached and checked in the auth
// process, and nobody is made to wait.
const authDovecotConfig = `protocols =
ssl = no
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent/%%u allow_all_users=yes
}
service auth {
  client_limit = 20000
  unix_listener auth-client {
    mode = 0666
  }
}
`

const authdConfig = `listeners:
  - {type: client, listen: {address: "unix:%[1]s/auth-client", mode: "0666"}}
passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: %[2]s, home: "/nonexistent/%%u"}
passwords: {allow_schemes: [PLAIN], queue: 10000}
cache: {verified_ttl: 1h}
login: {failure_delay: 0s, penalty: false}
limits: {connections: 20000}
control: {listen: {address: "unix:%[1]s/control", mode: "0600"}}
log: {level: warn}
`

func writeAuthUsers(path string) error {
	// 5000 rounds are crypt(3)'s own choice, what most stored hashes have.
	hash, err := scheme.GenerateWith(&scheme.Workspace{}, "SHA512-CRYPT", authPassword, scheme.Options{Costs: scheme.Costs{Rounds: 5000}})
	if err != nil {
		return err
	}
	var b strings.Builder
	for i := range cheapUsers {
		fmt.Fprintf(&b, "cheap%d:{PLAIN}%s::::::\n", i, authPassword)
	}
	for i := range slowUsers {
		fmt.Fprintf(&b, "slow%d:%s::::::\n", i, hash)
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
