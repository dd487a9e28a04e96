package service

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

type processKey struct{}

func processOf(cmd *cobra.Command) *process {
	p, _ := cmd.Context().Value(processKey{}).(*process)
	return p
}

// Command is the whole command line of an App, for the manual.
func Command(app App) *cobra.Command { return (&process{app: app}).command() }

// command builds the command line: the verbs all daemons have, then the own.
func (p *process) command() *cobra.Command {
	root := &cobra.Command{
		Use:   p.app.Name,
		Short: p.app.Short,
		Long:  p.app.Long,
		Args:  cobra.NoArgs,
		// A command that began reports its own errors; main prints them once.
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.ran = true
		},
		RunE: showUsage,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringP("config", "c", "/etc/postcote/"+p.app.Name+".yaml", "configuration `file`")
	root.PersistentFlags().String("control", "", "control `socket` of the running daemon, instead of the configured one")
	root.AddCommand(p.serveCommand(), p.checkCommand(), p.statusCommand(), p.reloadCommand(), p.versionCommand())
	root.AddCommand(p.app.Commands...)
	for _, cmd := range root.Commands() {
		closeGroup(cmd)
	}
	return root
}

// showUsage is what a command does that wants one of its subcommands.
func showUsage(cmd *cobra.Command, _ []string) error {
	fmt.Fprint(cmd.ErrOrStderr(), cmd.UsageString())
	return &exitError{code: ExitUsage}
}

// closeGroup makes a wrong subcommand an error, for which cobra prints the help
// and calls it a success.
func closeGroup(cmd *cobra.Command) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args, cmd.RunE = cobra.NoArgs, showUsage
		for _, below := range cmd.Commands() {
			closeGroup(below)
		}
	}
}

func (p *process) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon in the foreground",
		Long: "Runs the daemon in the foreground until SIGTERM or SIGINT; open sessions may then go on for shutdown.timeout, " +
			"a second signal ends it at once. SIGHUP reads the configuration again. " +
			"Exit codes: 0 after a stop, 75 when the start failed and may work later, 78 when the configuration has mistakes.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.serve(cmd.Context(), ConfigPath(cmd)) },
	}
}

func (p *process) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), p.app.Name, p.app.version())
		},
	}
}

// ConfigPath is the value of -c in a command of App.Commands.
func ConfigPath(cmd *cobra.Command) string {
	path, err := cmd.Flags().GetString("config")
	if err != nil {
		return ""
	}
	return path
}

// LoadConfig loads the configuration of a command of App.Commands: a pointer
// of the type App.Config (or the Role's) makes.
func LoadConfig(cmd *cobra.Command) (any, error) {
	_, cfg, err := processOf(cmd).load(ConfigPath(cmd))
	return cfg, err
}

// Dial connects to the control socket of the running daemon, which is named by
// --control or else by the configuration.
func Dial(cmd *cobra.Command) (*control.Client, error) {
	path, err := cmd.Flags().GetString("control")
	if err != nil {
		return nil, err
	}
	if path == "" {
		if path, err = configuredSocket(cmd); err != nil {
			return nil, err
		}
	}
	return control.Dial(cmd.Context(), strings.TrimPrefix(path, "unix:"))
}

func configuredSocket(cmd *cobra.Command) (string, error) {
	cfg, err := LoadConfig(cmd)
	if err != nil {
		return "", err
	}
	common, err := commonOf(cfg)
	if err != nil {
		return "", err
	}
	path := common.Control.Listen.Unix()
	if path == "" {
		return "", fail.New(fail.Invalid, "%s has no path in control.listen, name the socket with --control", ConfigPath(cmd))
	}
	return path, nil
}

// load picks the role by the file and loads the file. Errors are mistakes of
// configuration, all of them.
func (p *process) load(file string) (Role, any, error) {
	role, err := p.role(file)
	if err != nil {
		return role, nil, err
	}
	cfg := role.Config()
	return role, cfg, conf.Load(file, cfg)
}

func (p *process) role(file string) (Role, error) {
	roles := p.app.AllRoles()
	if len(p.app.Roles) == 0 {
		return roles[0], nil
	}
	key, line, err := conf.Peek(file, "role")
	if err != nil {
		return Role{}, err
	}
	keys := make([]string, len(roles))
	for i, r := range roles {
		if r.Key == key {
			return r, nil
		}
		keys[i] = r.Key
	}
	problem := conf.Problem{File: file, Line: line, Path: "role", Text: fmt.Sprintf("%q is not allowed", key), Hint: "allowed: " + strings.Join(keys, ", ")}
	if key == "" {
		problem.Text = "is missing"
	}
	return Role{}, conf.Problems{problem}
}

// withClient runs f on a control connection.
func withClient(cmd *cobra.Command, f func(ctx context.Context, c *control.Client) error) error {
	c, err := Dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	return f(cmd.Context(), c)
}
