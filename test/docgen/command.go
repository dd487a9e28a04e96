package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/postcote/postcote/pkg/daemon/service"
)

// commandPage is the page of section 8 about a daemon.
func commandPage(app service.App) page {
	root := service.Command(app)
	p := page{name: app.Name, section: 8, short: app.Short}
	p.heading("Synopsis")
	p.code(app.Name + " [-c FILE] COMMAND [ARGUMENT...]")
	p.heading("Description")
	for _, text := range strings.Split(app.Long, "\n\n") {
		p.para(text)
	}
	p.heading("Commands")
	commands(&p, root)
	p.heading("Options of every command")
	flags(&p, 0, root.PersistentFlags())
	p.heading("Signals")
	p.item("SIGTERM, SIGINT", "Stop. Open sessions may go on for shutdown.timeout; a second signal ends the daemon at once.")
	p.item("SIGHUP", "Read the configuration again and open the log file again. A configuration with mistakes changes nothing; keys that cannot change in a running daemon are named in the log.")
	p.heading("Exit status")
	p.item("0", "Success, or a daemon that was stopped.")
	p.item("1", "The command could not do what was asked.")
	p.item("64", "Wrong usage.")
	p.item("75", "The daemon could not start, or does not run; another try may work.")
	p.item("78", "The configuration has mistakes, which were printed.")
	p.heading("Environment")
	p.item("LISTEN_FDS, LISTEN_FDNAMES", "Sockets handed over by systemd, named in the configuration as systemd:NAME.")
	p.item("NOTIFY_SOCKET, WATCHDOG_USEC", "Where and how often systemd is told of readiness and life.")
	p.item("POSTCOTE_ALLOW_ROOT", "Set to 1, lets the daemon run as root, which it refuses otherwise. For tests only.")
	p.heading("Files")
	var also []string
	for _, role := range app.AllRoles() {
		p.item("/etc/postcote/"+role.Name+".yaml", sentence(role.Short))
		p.item("/run/postcote-"+role.Name+"/control", "The control socket.")
		also = append(also, role.Name+".yaml(5)")
	}
	p.heading("See also")
	p.para(strings.Join(also, ", "))
	return p
}

// commands lists what can be run below a command, with its whole path.
func commands(p *page, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		if c.Runnable() {
			text := c.Long
			if text == "" {
				text = sentence(c.Short)
			}
			p.item(strings.TrimPrefix(parent.CommandPath()+" ", p.name+" ")+c.Use, text)
			flags(p, 1, c.LocalNonPersistentFlags())
		}
		commands(p, c)
	}
}

// flags lists options with the name of their value.
func flags(p *page, depth int, set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := "--" + f.Name
		if f.Shorthand != "" {
			term = "-" + f.Shorthand + ", " + term
		}
		if value != "" {
			term += "=" + strings.ToUpper(value)
		}
		text := sentence(usage)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
			text += fmt.Sprintf(" Default: %s.", f.DefValue)
		}
		p.nested(depth, term, text)
	})
}
