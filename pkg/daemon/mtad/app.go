package mtad

import (
	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// App is the daemon for service.Main.
func App() service.App {
	return service.App{
		Name:  "mtad",
		Short: "Postcote's mail transfer agent: SMTP in, queue, SMTP and LMTP out",
		Long: "mtad takes mail from the Internet and from users, keeps it in a queue that survives power failures, and\n" +
			"passes it on: to the delivery agent by LMTP, to other hosts by SMTP. It stands where Postfix stands.",
		Config: func() any { c := Default(); return &c },
		Run:    Run,
		Commands: queuecmd.Commands(queuecmd.Host{
			Dial: service.Dial,
			Config: func(cmd *cobra.Command) (queue.Config, error) {
				cfg, err := service.LoadConfig(cmd)
				if err != nil {
					return queue.Config{}, err
				}
				c, ok := cfg.(*Config)
				if !ok {
					return queue.Config{}, fail.New(fail.Invalid, "mtad: configuration of type %T", cfg)
				}
				return queue.Config{Settings: c.Queue.Settings, Dir: c.Queue.Dir, FS: disk.OS()}, nil
			},
		}),
	}
}

// registerVerbs adds what the control socket can do and tell.
func (d *daemon) registerVerbs() {
	d.rt.Status("sessions", func() any {
		open := make(map[string]int, len(d.listens))
		for _, l := range d.listens {
			open[l.label] += l.conns.Active()
		}
		return open
	})
	d.rt.Status("queue", func() any { return d.queue.Stats() })
	for _, v := range queuecmd.Verbs(d.queue) {
		d.rt.Control(v)
	}
}
