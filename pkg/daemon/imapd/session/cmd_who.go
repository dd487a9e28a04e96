package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// Who is one line of `imapd who`.
type Who struct {
	User     string    `json:"user"`
	Protocol string    `json:"protocol"`
	Peer     string    `json:"peer"`
	Session  string    `json:"session"`
	Since    time.Time `json:"since"`
	TLS      string    `json:"tls,omitempty"`
}

// filter picks sessions; what is empty picks all. On the control socket it is
// written as words KEY=VALUE.
type filter struct {
	user     string // with * and ?
	protocol string
	session  string
	peers    netip.Prefix
}

// parseFilter reads words; one without "=" is a user.
func parseFilter(words []string) (f filter, err error) {
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			key, value = "user", w
		}
		switch key {
		case "user":
			f.user = value
			_, err = path.Match(value, "")
		case "protocol":
			if f.protocol = strings.ToLower(value); f.protocol != "imap" && f.protocol != "pop3" {
				err = fail.New(fail.Invalid, "known are imap and pop3")
			}
		case "session":
			f.session = value
		case "address":
			f.peers, err = network(value)
		default:
			err = fail.New(fail.Invalid, "there is no filter %q; known are user, protocol, session, address", key)
		}
		if value == "" {
			err = fail.New(fail.Invalid, "the filter %s is empty", key)
		}
		if err != nil {
			return f, fail.Wrap(fail.Invalid, err, "filter %s", w)
		}
	}
	return f, nil
}

// network reads an address, or a network with its mask.
func network(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

func (f filter) picks(s *session) bool {
	if f.user != "" {
		if ok, err := path.Match(f.user, s.user); !ok || err != nil {
			return false
		}
	}
	return (f.protocol == "" || f.protocol == s.frame.Protocol.String()) && (f.session == "" || f.session == s.frame.Session) &&
		(!f.peers.IsValid() || f.peers.Contains(s.frame.Peer.Addr().Unmap()))
}

func (r *role) verbWho(_ context.Context, args []string, emit control.Emit) error {
	f, err := parseFilter(args)
	if err != nil {
		return err
	}
	for _, s := range r.here.list() {
		if !f.picks(s) {
			continue
		}
		w := Who{
			User: s.user, Protocol: s.frame.Protocol.String(), Session: s.frame.Session, Since: s.started, TLS: s.frame.TLSVersion,
		}
		if s.frame.Peer.IsValid() {
			w.Peer = s.frame.Peer.Addr().Unmap().String()
		}
		if err := emit(w); err != nil {
			return err
		}
	}
	return nil
}

// errAllSessions is for those who say nobody where everybody would be meant.
var errAllSessions = fail.New(fail.Invalid, "say whose sessions to end: those of a user, from an address, with an id, or of a protocol")

// kick ends sessions.
func (r *role) kick(f filter) int {
	n := 0
	for _, s := range r.here.list() {
		if f.picks(s) {
			s.cancel(errKicked)
			n++
		}
	}
	return n
}

func (r *role) verbKick(_ context.Context, args []string, emit control.Emit) error {
	f, err := parseFilter(args)
	if err != nil {
		return err
	}
	if f == (filter{}) {
		return errAllSessions
	}
	return emit(map[string]int{"kicked": r.kick(f)})
}

// filterFlags are the filters as flags; words gives them for the socket.
func filterFlags(cmd *cobra.Command) (words func() []string) {
	var user, address, session, protocol string
	cmd.Flags().StringVar(&user, "user", "", "only those of this `user`; * and ? stand for anything")
	cmd.Flags().StringVar(&address, "address", "", "only those from this `address` or network")
	cmd.Flags().StringVar(&session, "session", "", "only the one with this `id`")
	cmd.Flags().StringVar(&protocol, "protocol", "", "only those that speak `imap` or pop3")
	return func() (out []string) {
		for _, f := range [][2]string{{"user", user}, {"address", address}, {"session", session}, {"protocol", protocol}} {
			if f[1] != "" {
				out = append(out, f[0]+"="+f[1])
			}
		}
		return out
	}
}

func whoCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "who", Short: "List the sessions", Args: cobra.NoArgs}
	words := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return ask(cmd, "WHO", words(), func(raw []json.RawMessage) error { return printWho(cmd.OutOrStdout(), raw, asJSON) })
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func printWho(w io.Writer, raw []json.RawMessage, asJSON bool) error {
	if asJSON {
		return printRaw(w, raw)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "user\tprotocol\tpeer\tsince\ttls\tsession")
	for _, v := range raw {
		var s Who
		if err := json.Unmarshal(v, &s); err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.User, s.Protocol, s.Peer, s.Since.Format(time.DateTime), s.TLS, s.Session)
	}
	return t.Flush()
}

func printRaw(w io.Writer, raw []json.RawMessage) error {
	for _, v := range raw {
		if _, err := fmt.Fprintln(w, string(v)); err != nil {
			return err
		}
	}
	return nil
}

// ended says how many sessions a command has ended.
func ended(n int) string {
	if n == 1 {
		return "1 session ended"
	}
	return fmt.Sprintf("%d sessions ended", n)
}

func kickCommand() *cobra.Command {
	var asJSON, dry bool
	cmd := &cobra.Command{
		Use: "kick [USER]", Short: "End sessions", Args: cobra.MaximumNArgs(1),
		Long: "Ends the sessions that the filters pick, at least one of them: of a user, from an address or network, of one id. " +
			"Clients are told so and may log in again.",
	}
	words := filterFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list := words()
		for _, user := range args {
			list = append(list, "user="+user)
		}
		if len(list) == 0 {
			return errAllSessions
		}
		if dry {
			return ask(cmd, "WHO", list, func(raw []json.RawMessage) error { return printWho(cmd.OutOrStdout(), raw, asJSON) })
		}
		return ask(cmd, "KICK", list, func(raw []json.RawMessage) error {
			if asJSON {
				return printRaw(cmd.OutOrStdout(), raw)
			}
			var answer struct{ Kicked int }
			for _, v := range raw {
				if err := json.Unmarshal(v, &answer); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), ended(answer.Kicked))
			return err
		})
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as a JSON object")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "list the sessions as who does, and end none")
	return cmd
}
