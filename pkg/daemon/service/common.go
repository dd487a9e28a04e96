package service

import (
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Common is embedded, inline, at the end of every daemon's configuration:
//
//	type Config struct {
//		...
//		service.Common `yaml:",inline"`
//	}
type Common struct {
	Log      obs.Config `yaml:"log" doc:"What is logged, how and where."`
	Metrics  Metrics    `yaml:"metrics" doc:"Listener for Prometheus metrics (/metrics) and health (/healthz)."`
	Control  Control    `yaml:"control" doc:"Socket for the operator's commands."`
	Shutdown Shutdown   `yaml:"shutdown" doc:"How the daemon stops."`
	Memory   Memory     `yaml:"memory" doc:"What the daemon may keep."`
}

// Metrics is the `metrics` section.
type Metrics struct {
	Listen conf.Listen `yaml:"listen" example:"127.0.0.1:9150" doc:"Address of the metrics and health listener; empty means none. It has no access control beyond the address, so keep it local."`
}

// Control is the `control` section.
type Control struct {
	Listen     conf.Listen `yaml:"listen" doc:"The control socket; empty means none. It belongs to the group of its folder if that folder is setgid, as the packaged ones are."`
	AdminGroup string      `yaml:"admin_group" doc:"Members of this group may use administrative verbs, as root and the daemon's own user may; empty means nobody else. The daemons' users must not be members."`
}

// Shutdown is the `shutdown` section.
type Shutdown struct {
	Timeout conf.Duration `yaml:"timeout" min:"1s" max:"1h" reload:"true" doc:"How long open sessions may go on after SIGTERM before they are cut off."`
}

// Memory is the `memory` section.
type Memory struct {
	Headroom conf.Size `yaml:"headroom" max:"16GiB" doc:"How much garbage may lie in memory before it is collected in a daemon that makes that much in a second, and less in one that works less; more is left as the daemon keeps more in use. Less saves memory, more saves CPU. Without effect where the environment has GOGC."`
}

// DefaultCommon is the default of the common sections for the named daemon,
// whose runtime directory is /run/postcote-<daemon>.
func DefaultCommon(daemon string) Common {
	return Common{
		Log: obs.DefaultConfig(),
		Control: Control{
			Listen:     conf.Listen{Address: "unix:/run/postcote-" + daemon + "/control", Mode: 0o660},
			AdminGroup: "postcote-admin",
		},
		Shutdown: Shutdown{Timeout: conf.Duration(30 * time.Second)},
		Memory:   Memory{Headroom: 16 << 20},
	}
}

// Validate checks what package obs cannot say in tags.
func (c Common) Validate(p *conf.Reporter) {
	if t := c.Log.Target; t != "stderr" && t != "syslog" && !strings.HasPrefix(t, "/") {
		p.At("log.target").Hint("write stderr, syslog or an absolute path").Errorf("%q is no place for a log", t)
	}
}

// Validate keeps the control socket off the network.
func (c Control) Validate(p *conf.Reporter) {
	if c.Listen.TCP() != "" {
		p.At("listen").Hint(`write "unix:/run/postcote-NAME/control" or "systemd:NAME"`).Errorf("the control socket must be a unix socket")
	}
}

// common makes the embedded sections reachable from any daemon's Config.
func (c *Common) common() *Common { return c }

type hasCommon interface{ common() *Common }

// commonOf finds the common sections in what App.Config made.
func commonOf(cfg any) (*Common, error) {
	c, ok := cfg.(hasCommon)
	if !ok {
		return nil, fail.New(fail.Permanent, "configuration type %T does not embed service.Common, or is no pointer", cfg)
	}
	return c.common(), nil
}
