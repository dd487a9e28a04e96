package main

import (
	"fmt"
	"strings"

	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// configPage is the page of section 5 about a configuration file.
func configPage(app service.App, role service.Role) page {
	p := page{name: role.Name + ".yaml", section: 5, short: "configuration of Postcote's " + role.Name}
	p.heading("Description")
	p.para(fmt.Sprintf("/etc/postcote/%s.yaml is the configuration of %s(8). It is YAML, read strictly: an unknown or repeated key, a value of the wrong kind or "+
		"out of its range is a mistake, and all mistakes are reported at once with their lines. Keys that are absent keep their default. "+
		"A list or mapping in the file replaces the default as a whole. Anchors and aliases are not supported.", role.Name, app.Name))
	p.para(fmt.Sprintf("%s check -c FILE looks for mistakes and tries every path; %s prints this documentation as a file with all defaults.", app.Name, defaultsCommand(app, role)))
	p.heading("Values")
	p.item("duration", "Whole numbers with a unit: 300ms, 30s, 5m, 1h30m, 5d, 2w.")
	p.item("size", "A whole number with a unit: 512B, 64KiB, 50MiB, 1GiB (powers of 1024), 10kB, 10MB, 1GB (powers of 1000).")
	p.item("file mode", `Three or four octal digits in quotes: "0660".`)
	p.item("listener", "An address: 127.0.0.1:25, [::1]:25, :25 for all addresses, unix:/path, or systemd:NAME for a socket that systemd hands over under this FileDescriptorName. "+
		"For a Unix socket also a mapping with the keys address, mode (file mode), group, and allow (a list of user names or numeric user ids that may connect; empty lets the file mode decide).")
	p.item("secret file", "The path of a file with one secret in it. Secrets never stand in the configuration.")
	p.heading("Keys")
	for _, k := range conf.Reference(role.Config()) {
		p.item(k.Path, keyText(k))
	}
	p.heading("See also")
	p.para(app.Name + "(8)")
	return p
}

func defaultsCommand(app service.App, role service.Role) string {
	text := app.Name + " check --defaults"
	if role.Key != "" {
		text += " --role " + role.Key
	}
	return text
}

// keyText is all that is known about a key, in sentences.
func keyText(k conf.Key) string {
	text := []string{k.Doc}
	if k.Type != "section" {
		kind := sentence(k.Type)
		if len(k.Default) > 0 && k.Default != `""` && k.Default != "[]" && k.Default != "{}" && k.Default != "null" {
			kind = strings.TrimSuffix(kind, ".") + ", default " + k.Default + "."
		}
		text = append(text, kind)
	}
	return strings.Join(append(text, rules(k)...), " ")
}

// rules are the sentences about what a value may be and when it counts.
func rules(k conf.Key) []string {
	var text []string
	if len(k.Allowed) > 0 {
		shown := make([]string, len(k.Allowed))
		for i, a := range k.Allowed {
			if shown[i] = a; a == "" {
				shown[i] = `""`
			}
		}
		text = append(text, "One of "+strings.Join(shown, ", ")+".")
	}
	unit := ""
	switch {
	case k.Type == "string":
		unit = " bytes"
	case strings.HasPrefix(k.Type, "list") || strings.HasPrefix(k.Type, "map"):
		unit = " entries"
	}
	switch {
	case k.Min != "" && k.Max != "":
		text = append(text, fmt.Sprintf("From %s to %s%s.", k.Min, k.Max, unit))
	case k.Min != "":
		text = append(text, fmt.Sprintf("At least %s%s.", k.Min, unit))
	case k.Max != "":
		text = append(text, fmt.Sprintf("At most %s%s.", k.Max, unit))
	}
	if k.Reload && k.Type != "section" {
		text = append(text, "SIGHUP applies a change.")
	}
	if k.Example != "" {
		text = append(text, "Example: "+unwrap(k.Example))
	}
	return text
}
