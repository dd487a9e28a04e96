package mtad

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/mtad/localmail"
	"github.com/postcote/postcote/pkg/daemon/mtad/postfixcmd"
	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/daemon/mtad/tablecmd"
	"github.com/postcote/postcote/pkg/daemon/mtad/tables"
	"github.com/postcote/postcote/pkg/daemon/mtad/verifying"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/proto/control"
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
		Paths:  tablePaths,
		Check:  advise,
		Commands: slices.Concat(queuecmd.Commands(queuecmd.Host{
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
		}), tablecmd.Commands(tablecmd.Host{Tables: configuredTables}), []*cobra.Command{explainCommand()}),
	}
}

// configuredTables are the lookup tables that the configuration names: those
// that it opens.
func configuredTables(cmd *cobra.Command) ([]string, error) {
	cfg, err := service.LoadConfig(cmd)
	if err != nil {
		return nil, err
	}
	c, ok := cfg.(*Config)
	if !ok {
		return nil, fail.New(fail.Invalid, "mtad: configuration of type %T", cfg)
	}
	return c.tableNames()
}

func (c Config) tableNames() ([]string, error) {
	var names []string
	c.lookups = c.tables()
	c.lookups.Share = func(name string, open func() (lookup.Table, error)) (lookup.Table, error) {
		names = append(names, lookup.SpecOf(name))
		return open()
	}
	_, err := newState(c, nil, time.Now)
	if err == nil {
		err = c.Remote.secure(&remote.Config{}, c.lookups)
	}
	slices.Sort(names)
	return slices.Compact(names), err
}

// tablePaths are the files and sockets of lookup tables.
func tablePaths(cfg any) []conf.PathUse {
	c, ok := cfg.(*Config)
	if !ok {
		return nil
	}
	names, _ := c.tableNames() // what is wrong with names is told elsewhere
	uses := tables.Paths(append(names, aliasFiles(c.Rewrite.Aliases)...))
	if hop, err := route.ParseHop("lmtp:" + c.Deliver.LMTP); err == nil && hop.Socket != "" && c.delivers() {
		uses = append(uses, conf.PathUse{Key: "deliver.lmtp", Path: hop.Socket, Use: conf.UseConnect})
	}
	return uses
}

// delivers reports whether there are names whose mail stays here.
func (c *Config) delivers() bool {
	return len(c.Domains.Mailbox)+len(c.Domains.Tables)+len(c.Domains.Local)+len(c.Domains.LocalTables) > 0
}

// Tool runs mtad as the command of Postfix by whose name it was called; ok is
// false when it was called by none.
func Tool(args []string) (code int, ok bool) {
	s := postfixcmd.OS()
	s.Args, s.Settings = args, toolSettings
	if len(args) > 0 {
		if t := tablecmd.Named(args[0]); t != nil {
			t.Stdin, t.Stdout, t.Stderr = s.Stdin, s.Stdout, s.Stderr
			return t.Postmap(context.Background(), args[1:]), true
		}
	}
	return postfixcmd.Run(context.Background(), s)
}

// toolSettings reads what the commands need. A user who may not read the
// file, or reads it while it is being edited, still has a mail system: then
// the defaults hold, unless the caller has named the file.
func toolSettings(file string, named bool) (postfixcmd.Settings, error) {
	c := Default()
	if err := conf.Load(file, &c); err != nil {
		if named {
			return postfixcmd.Settings{}, err
		}
		c = Default()
	}
	out := postfixcmd.Settings{
		Submit: c.Submit.Path(), Control: c.Control.Listen.Unix(), Status: c.Status.Listen.Unix(), Drop: c.Submit.Drop,
		Origin: c.origin(), Size: c.MessageSize.Int64(), Aliases: aliasFiles(c.Rewrite.Aliases),
		Parameters: func() []postfixcmd.Parameter { return c.parameters(file) }, TableTypes: func() []string { return c.tables().Types() },
	}
	if out.Status == "" {
		out.Status = "/run/postcote-mtad/status"
	}
	return out, nil
}

// aliasFiles are the files of aliases(5) among tables.
func aliasFiles(specs []string) []string {
	var files []string
	for _, s := range specs {
		if kind, path, ok := strings.Cut(s, ":"); ok && strings.HasPrefix(path, "/") && slices.Contains([]string{"aliases", "hash", "btree", "cdb", "lmdb"}, kind) {
			files = append(files, s)
		}
	}
	return files
}

// access is what the configuration lets ordinary users do with the queue.
func (d *daemon) access() queuecmd.Access {
	may := func(users func(localmail.Status) []string) func(context.Context) error {
		return func(ctx context.Context) error {
			peer := control.PeerOf(ctx)
			if peer.Admin || localmail.Listed(users(d.state.Load().cfg.Status), int(peer.UID)) {
				return nil
			}
			return fail.New(fail.Denied, "user %s may not do this with the queue", localmail.Name(int(peer.UID)))
		}
	}
	return queuecmd.Access{
		List:  may(func(s localmail.Status) []string { return s.Mailq }),
		Flush: may(func(s localmail.Status) []string { return s.Flush }),

		Readdress: func(ctx context.Context, env *queue.Envelope) (*queue.Envelope, func(io.Reader) (io.Reader, error), error) {
			return d.state.Load().rewriter.Again(ctx, env)
		},
		Changed: func(id queue.ID, what string) { d.log.Log(messageChanged{id.String(), what}) },
	}
}

// reporter answers local users who ask where mail would go. The rules of
// submission hold: a report is mail, too.
func (d *daemon) reporter() *verifying.Reporter {
	return &verifying.Reporter{
		Allow: func(ctx context.Context, sender addr.Address) error {
			uid := int(control.PeerOf(ctx).UID)
			for _, v := range []gate.Verdict{d.local.Connect(uid), d.local.Mail(uid, sender)} {
				if v.Refused() {
					return fail.New(fail.Denied, "%s", v)
				}
			}
			return nil
		},
		Probe: d.probe, Bouncer: bouncer{d}, Queue: d.queue, Now: d.now, Log: d.log, Timeout: d.state.Load().cfg.Verify.Timeout.Std(),
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
	d.rt.Control(d.reporter().Verb())
	for _, v := range queuecmd.Verbs(d.queue, d.access()) {
		d.rt.Control(v)
	}
}
