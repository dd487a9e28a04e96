package service

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func (p *process) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and every path it names",
		Long: "Reads the configuration and reports every mistake with its line. Then tries whether the current user, in the current " +
			"sandbox, can use every path that the configuration names, and prints the systemd drop-in that the packaged unit needs for them. " +
			"Run it as the daemon's own user, or in its unit with systemd-run. Exit code 78 when there is a mistake.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			defaults, err := cmd.Flags().GetBool("defaults")
			if err != nil {
				return err
			}
			if defaults {
				role := ""
				if f := cmd.Flags().Lookup("role"); f != nil {
					role = f.Value.String()
				}
				return p.writeDefaults(cmd.OutOrStdout(), role)
			}
			return p.check(cmd.OutOrStdout(), cmd.ErrOrStderr(), ConfigPath(cmd))
		},
	}
	cmd.Flags().Bool("defaults", false, "print the documented default configuration instead")
	if len(p.app.Roles) > 0 {
		cmd.Flags().String("role", "", "the `role` whose defaults are printed, the first one's without it")
	}
	return cmd
}

func (p *process) writeDefaults(w io.Writer, key string) error {
	for _, role := range p.app.AllRoles() {
		if key == "" || key == role.Key {
			return conf.WriteDefaults(w, role.Config())
		}
	}
	return fail.New(fail.Invalid, "%s has no role %q", p.app.Name, key)
}

// check reports to out what is fine and to bad what is not.
func (p *process) check(out, bad io.Writer, file string) error {
	role, cfg, err := p.load(file)
	if err != nil {
		fmt.Fprintln(bad, err)
		return &exitError{code: ExitConfig}
	}
	mistakes := 0
	paths := conf.Paths(cfg)
	if p.app.Paths != nil {
		paths = append(paths, p.app.Paths(cfg)...)
	}
	for _, use := range paths {
		if strings.Contains(use.Path, "%") {
			fmt.Fprintf(out, "note: %s: %s depends on variables and was not tried\n", use.Key, use.Path)
			continue
		}
		switch v := reach(use); {
		case v.note != "":
			fmt.Fprintf(out, "note: %s: %s %s\n", use.Key, use.Path, v.note)
		case v.mistake != "":
			fmt.Fprintf(bad, "%s: %s: %s %s\n", file, use.Key, use.Path, v.mistake)
			mistakes++
		}
	}
	if p.app.Check != nil {
		notes, err := p.app.Check(cfg)
		for _, note := range notes {
			fmt.Fprintf(out, "note: %s\n", note)
		}
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				fmt.Fprintf(bad, "%s: %s\n", file, line)
				mistakes++
			}
		}
	}
	if text := dropIn(role.Name, paths); text != "" {
		fmt.Fprintf(out, "The packaged unit reaches these paths with the drop-in\n%s", text)
	}
	if p.uid == 0 {
		fmt.Fprintf(out, "note: root may do more than %s; run this as that user to check permissions\n", role.Name)
	}
	if mistakes > 0 {
		return &exitError{code: ExitConfig}
	}
	fmt.Fprintf(out, "%s: ok\n", file)
	return nil
}

// dropIn is what a unit with ProtectSystem=strict, ProtectHome=yes and
// PrivateTmp=yes needs beyond its own folders; "" when that is nothing.
func dropIn(name string, paths []conf.PathUse) string {
	var lines []string
	seen := map[string]bool{}
	for _, use := range paths {
		line := sandboxLine(name, use)
		if line != "" && !seen[line] {
			seen[line] = true
			lines = append(lines, line)
		}
	}
	if lines == nil {
		return ""
	}
	return fmt.Sprintf("# /etc/systemd/system/%s.service.d/paths.conf\n[Service]\n%s\n", name, strings.Join(lines, "\n"))
}

// sandboxLine is the setting for one path.
func sandboxLine(name string, use conf.PathUse) string {
	writes := use.Use == conf.UseDir || use.Use == conf.UseWrite || use.Use == conf.UseSocket
	path := use.Path
	if use.Use != conf.UseDir && use.Use != conf.UseRead {
		// A file that will be replaced, or a socket that will be made again,
		// is reached through its folder.
		path = path[:max(1, strings.LastIndex(path, "/"))]
	}
	hidden := under(path, "/home") || under(path, "/root") || under(path, "/run/user") || under(path, "/tmp") || under(path, "/var/tmp")
	switch {
	case path == "/tmp" || path == "/var/tmp":
		return "" // the unit has its own
	case writes && hidden:
		return "BindPaths=" + path
	case hidden:
		return "BindReadOnlyPaths=" + path
	case writes && !granted(name, path):
		return "ReadWritePaths=" + path
	default:
		return ""
	}
}

// granted lists what the packaged units may write.
func granted(name, path string) bool {
	return under(path, "/run/postcote-"+name) || under(path, "/var/lib/postcote/"+name) || under(path, "/var/mail/postcote")
}

func under(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
