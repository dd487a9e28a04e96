package service

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Runtime is what a daemon's Run stands on. One made as a literal of the
// exported fields works in tests: listeners are bound, verbs and hooks are
// kept, Ready only records.
type Runtime struct {
	Name       string // "imapd-login"
	Version    string
	ConfigFile string // empty when there is none
	Log        *obs.Logger
	Metrics    *obs.Metrics
	Now        func() time.Time
	FS         disk.FS // the way to files; the real disk unless a crash is being tested

	inherited  *netx.Inherited
	control    control.Server
	started    time.Time
	ready      func()
	reloads    chan reloadRequest // to the supervisor, from the verb RELOAD
	background sync.WaitGroup     // control and metrics listeners
	onTerminal bool               // the log goes to standard error

	mu      sync.Mutex
	isReady bool
	drain   time.Duration
	status  map[string]func() any
	reload  []func(cfg any) error
}

// Listen takes the inherited descriptor or binds the address of spec.
func (rt *Runtime) Listen(spec conf.Listen) (net.Listener, error) {
	return netx.Open(spec, rt.inherited)
}

// ListenPacket is Listen for Unix sockets of type SOCK_SEQPACKET.
func (rt *Runtime) ListenPacket(spec conf.Listen) (net.Listener, error) {
	return netx.OpenPacket(spec, rt.inherited)
}

// Drain is how long Run may go on after its context is done; 30 s in a
// Runtime made by hand. A reload may change it.
func (rt *Runtime) Drain() time.Duration {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.drain == 0 {
		return 30 * time.Second
	}
	return rt.drain
}

func (rt *Runtime) setDrain(d time.Duration) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.drain = d
}

// Ready tells the service manager that the daemon serves. Call it once, when
// all listeners are open.
func (rt *Runtime) Ready() {
	rt.mu.Lock()
	again := rt.isReady
	rt.isReady = true
	rt.mu.Unlock()
	if !again && rt.ready != nil {
		rt.ready()
	}
}

// IsReady reports whether Ready was called.
func (rt *Runtime) IsReady() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.isReady
}

// Control adds a verb to the control socket.
func (rt *Runtime) Control(verb control.Verb) { rt.control.Add(verb) }

// ServeControl answers control connections on l until ctx is done. The
// configured socket needs no call; this is for tests and further sockets with
// the same verbs.
func (rt *Runtime) ServeControl(ctx context.Context, l net.Listener) error {
	return rt.control.Serve(ctx, l)
}

// Health adds a check to /healthz.
func (rt *Runtime) Health(name string, check func() error) { rt.Metrics.Health(name, check) }

// Status adds a value to the answer of the verb STATUS under the given name;
// the value must be one that encoding/json can render, and value must not block.
func (rt *Runtime) Status(name string, value func() any) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.status == nil {
		rt.status = map[string]func() any{}
	}
	rt.status[name] = value
}

// OnReload adds a hook for SIGHUP. It gets the new configuration, of the type
// Config made, after it was validated; an error is logged and does not stop
// other hooks.
func (rt *Runtime) OnReload(hook func(cfg any) error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.reload = append(rt.reload, hook)
}
