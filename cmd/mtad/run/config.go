package main

import (
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Config is the file of one helper.
type Config struct {
	Delimiter string             `yaml:"recipient_delimiter" max:"8" doc:"As in mtad.yaml, for ${user}, ${extension} and ${mailbox}."`
	Commands  map[string]Command `yaml:"commands" doc:"What may be run, by name: the command of a transport, or the text behind | of an alias."`
	Files     []string           `yaml:"files" example:"/var/mail/archive" doc:"Files (in mbox form) and folders (with / at the end: Maildir) that aliases may name; they are made if missing."`

	ForwardPath []string `yaml:"forward_path" example:"[\"${home}/.forward\"]" doc:"Where the .forward file of a user may be: the first that exists counts. Macros: ${user} ${home} ${extension} ${domain} ${local} ${recipient_delimiter}; an entry with one that has no value is left out. Empty: this helper reads none."`
}

// Command is one program.
type Command struct {
	Argv      []string          `yaml:"argv" doc:"Program, with its whole path, and arguments. Macros as in Postfix's pipe(8): ${sender} ${recipient} ${user} ${domain} ${extension} ${mailbox} ${original_recipient} ${nexthop} ${size} ${queue_id} ${client_address} ${client_hostname} ${client_helo} ${client_port} ${client_protocol} ${sasl_username} ${sasl_method} ${sasl_sender} (always empty) ${envid}. An argument with a macro of the recipient is repeated for each. There is no shell."`
	Flags     string            `yaml:"flags" doc:"Postfix's: B empty line at the end, D Delivered-To, F From_ line, O X-Original-To, R Return-Path, X final delivery by the program (see final_delivery in mtad.yaml), h u lower-case domain and user, q quote addresses, . and > escape lines."`
	Directory string            `yaml:"directory" doc:"Where the program runs; empty is /."`
	Environ   map[string]string `yaml:"environment" doc:"Environment, beside PATH."`
	TimeLimit conf.Duration     `yaml:"time_limit" min:"1s" max:"1h" doc:"How long the program may take."`
	SizeLimit conf.Size         `yaml:"size_limit" doc:"The largest message; 0 for no limit."`
	Null      string            `yaml:"null_sender" doc:"${sender} of notifications."`
	CRLF      bool              `yaml:"crlf" doc:"End lines with CR LF, and not LF."`
}

// Preset gives an entry its defaults before it is read.
func (c *Command) Preset() {
	*c = Command{TimeLimit: conf.Duration(1000 * time.Second), Null: "MAILER-DAEMON"}
}

// Default is the configuration without a file: nothing may be run.
func Default() Config { return Config{Delimiter: "+"} }

const knownFlags = "BDFORXhuq.>"

// Validate reports what the tags cannot say.
func (c Config) Validate(p *conf.Reporter) {
	for i, path := range c.ForwardPath {
		at := p.At("forward_path[%d]", i)
		if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "${home}/") && !strings.HasPrefix(path, "$home/") {
			at.Hint("begin it with / or ${home}/").Errorf("%q is no absolute path", path)
		}
		if name, bad := unknownMacro(path, forwardMacros); bad {
			at.Errorf("there is no macro %q here", name)
		}
	}
	for name, cmd := range c.Commands {
		at := p.At("commands[%s]", name)
		if len(cmd.Argv) == 0 || !strings.HasPrefix(cmd.Argv[0], "/") {
			at.At("argv").Errorf("a program with its whole path is missing")
			continue
		}
		if strings.Contains(cmd.Argv[0], "$") {
			at.At("argv").Errorf("the program cannot be a macro")
		}
		for _, arg := range cmd.Argv[1:] {
			if name, bad := unknownMacro(arg, perRecipient, perMessage); bad {
				at.At("argv").Errorf("there is no macro %q", name)
			}
		}
		for _, f := range cmd.Flags {
			if !strings.ContainsRune(knownFlags, f) {
				at.At("flags").Hint(knownFlags).Errorf("there is no flag %q", f)
			}
		}
	}
	for i, f := range c.Files {
		if !strings.HasPrefix(f, "/") || strings.Contains(f, "/../") {
			p.At("files[%d]", i).Errorf("%q is no absolute path", f)
		}
	}
}
