package postfixcmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Parameter is one of Postfix's parameters with what our configuration says
// in its place. Key is the key with its meaning; "" where there is none.
type Parameter struct{ Name, Key, Value, Default string }

const postconfOptions = "aAbc:C:deEfhHlmMnNo:pPqtT:vxX#F"

const postconfUsage = "usage: postconf [-m (table types)] [-a (server SASL types)] [-c config_dir] [-d (defaults)] [-f] [-h (no names)] " +
	"[-H (no values)] [-n (not default)] [-p] [-v] [-x] [name...]"

// postconf is postconf(1) as far as it reads: installers, maintainer scripts
// and list managers ask it. It changes nothing, and says so with an exit code
// that stops them.
func (t *tool) postconf(_ context.Context, args []string) int {
	opts, names, bad := getopt(args, postconfOptions)
	if bad != 0 {
		t.badOption(postconfOptions, bad)
		return t.fatal(exitError, "%s", postconfUsage)
	}
	set := map[byte]bool{}
	for _, o := range opts {
		set[o.letter] = true
		if o.letter == 'c' {
			t.configure(o.value)
		}
	}
	edits := func(name string) bool { return strings.Contains(name, "=") }
	file, _ := t.configFile()
	switch {
	case set['e'] || set['X'] || set['#'] || slices.ContainsFunc(names, edits):
		return t.fatal(exitError, "there is no main.cf to change: in %s, %s", file, strings.Join(t.places(names), "; "))
	case set['M'] || set['P'] || set['F']:
		return t.fatal(exitError, "there is no master.cf: listeners and transports are in %s", file)
	case set['d'] && set['n']:
		return t.fatal(exitError, "specify one of -d -n")
	case set['m']:
		return t.tableTypes(file)
	case set['a']:
		return t.lines([]string{"dovecot"})
	}
	for _, letter := range []byte("AblotTEN") {
		if set[letter] {
			return t.fatal(exitError, "option -%c is not known here; %s", letter, postconfUsage)
		}
	}
	return t.parameters(names, set)
}

func (t *tool) tableTypes(file string) int {
	set, err := t.Settings(file, false)
	if err != nil {
		return t.fatal(exitError, "%v", err)
	}
	return t.lines(set.TableTypes())
}

func (t *tool) lines(list []string) int {
	fmt.Fprintln(t.Stdout, strings.Join(list, "\n"))
	return exitOK
}

// parameters prints the named parameters, or all.
func (t *tool) parameters(names []string, set map[byte]bool) int {
	known, err := t.known(set['d'])
	if err != nil {
		return t.fatal(exitError, "%v", err)
	}
	if set['x'] {
		expand(known)
	}
	if len(names) == 0 {
		for _, p := range known {
			if !set['n'] || p.Value != p.Default {
				t.parameter(p, set)
			}
		}
		return exitOK
	}
	for _, name := range names {
		i := slices.IndexFunc(known, func(p Parameter) bool { return p.Name == name })
		switch {
		case i < 0:
			t.warn("%s: unknown parameter", name)
		case !set['n'] || known[i].Value != known[i].Default:
			t.parameter(known[i], set)
		}
	}
	return exitOK
}

// known are the parameters, or their defaults. The values need a file that
// can be read: those of another configuration would be a lie.
func (t *tool) known(defaults bool) ([]Parameter, error) {
	file, named := t.configFile()
	set, err := t.Settings(file, named || !defaults)
	if err != nil {
		return nil, err
	}
	list := set.Parameters()
	if defaults {
		list = asDefaults(list)
	}
	return list, nil
}

// expand replaces values that are the name of another parameter.
func expand(list []Parameter) {
	values := map[string]string{}
	for _, p := range list {
		values["$"+p.Name] = p.Value
	}
	for i := range list {
		if v, ok := values[list[i].Value]; ok {
			list[i].Value = v
		}
	}
}

func asDefaults(list []Parameter) []Parameter {
	for i := range list {
		list[i].Value = list[i].Default
	}
	return list
}

func (t *tool) parameter(p Parameter, set map[byte]bool) {
	switch {
	case set['h']:
		fmt.Fprintln(t.Stdout, p.Value)
	case set['H']:
		fmt.Fprintln(t.Stdout, p.Name)
	default:
		fmt.Fprintln(t.Stdout, strings.TrimRight(p.Name+" = "+p.Value, " "))
	}
}

// places says where each setting that somebody wants to change is kept here.
func (t *tool) places(settings []string) []string {
	known, err := t.known(true)
	if err != nil || len(settings) == 0 {
		return []string{"see main-cf.md of the manual for its keys"}
	}
	var out []string
	for _, setting := range settings {
		name, _, _ := strings.Cut(setting, "=")
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(known, func(p Parameter) bool { return p.Name == name })
		switch {
		case i < 0:
			out = append(out, name+" is not known, see main-cf.md of the manual")
		case known[i].Key == "":
			out = append(out, name+" cannot be set")
		default:
			out = append(out, name+" is "+known[i].Key)
		}
	}
	return out
}
