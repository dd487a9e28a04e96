package service

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/proto/control"
)

// addVerbs fills the table with what every daemon can do.
func (rt *Runtime) addVerbs() {
	rt.Control(control.Verb{Name: "STATUS", Who: control.Status, Handler: func(_ context.Context, _ []string, emit control.Emit) error {
		return emit(rt.report())
	}})
	rt.Control(control.Verb{Name: "RELOAD", Who: control.Admin, Handler: func(ctx context.Context, _ []string, emit control.Emit) error {
		result, err := rt.requestReload(ctx)
		if err != nil {
			return err
		}
		return emit(result)
	}})
}

// report is the answer of STATUS: facts about the process, then what the
// daemon registered.
func (rt *Runtime) report() map[string]any {
	descriptors, sockets := descriptors()
	r := map[string]any{
		"daemon":         rt.Name,
		"version":        rt.Version,
		"pid":            os.Getpid(),
		"uptime_seconds": int64(time.Since(rt.started).Seconds()),
		"ready":          rt.IsReady(),
		"goroutines":     runtime.NumGoroutine(),
		"descriptors":    descriptors,
		"sockets":        sockets,
		"log_lines_lost": rt.Log.Lost(),
		"failing":        append([]string{}, rt.Metrics.Failing()...),
	}
	rt.mu.Lock()
	values := make(map[string]func() any, len(rt.status))
	for name, value := range rt.status {
		values[name] = value
	}
	rt.mu.Unlock()
	for name, value := range values {
		r[name] = value()
	}
	return r
}

// descriptors counts open files and how many of them are sockets. Both are 0
// where /proc is hidden.
func descriptors() (all, sockets int) {
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0
	}
	for _, fd := range dir {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return len(dir), sockets
}

func (p *process) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Tell how the running daemon does",
		Long:  "Asks the running daemon over its control socket for version, uptime, open connections, failing checks and what else it counts.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := cmd.Flags().GetBool("json")
			if err != nil {
				return err
			}
			return withClient(cmd, func(ctx context.Context, c *control.Client) error {
				var raw json.RawMessage
				if err := c.One(ctx, &raw, "STATUS"); err != nil {
					return err
				}
				if asJSON {
					_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
					return err
				}
				return printStatus(cmd.OutOrStdout(), raw)
			})
		},
	}
	cmd.Flags().Bool("json", false, "print the answer as one JSON object")
	return cmd
}

// printStatus writes "name: value" lines, nested names joined by dots.
func printStatus(w io.Writer, raw json.RawMessage) error {
	var answer any
	if err := json.Unmarshal(raw, &answer); err != nil {
		return err
	}
	var lines []string
	flatten("", answer, func(name, value string) { lines = append(lines, name+": "+value) })
	sort.Strings(lines)
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

func flatten(name string, v any, emit func(name, value string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			flatten(strings.TrimPrefix(name+"."+k, "."), x, emit)
		}
	case []any:
		if len(v) == 0 {
			emit(name, "none")
		}
		for i, x := range v {
			flatten(fmt.Sprintf("%s[%d]", name, i), x, emit)
		}
	case float64:
		b, err := json.Marshal(v)
		if err == nil {
			emit(name, string(b))
		}
	default:
		emit(name, fmt.Sprint(v))
	}
}

// buildVersion is the module version, or the commit for a build from a
// checkout.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		if commit := settings["vcs.revision"]; commit != "" {
			version += "-" + commit[:min(len(commit), 12)]
		}
		if settings["vcs.modified"] == "true" {
			version += "-dirty"
		}
	}
	return version
}
