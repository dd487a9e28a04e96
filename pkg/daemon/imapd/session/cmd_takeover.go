package session

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/imapd/takeover"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// takeoverFlags are those of `imapd takeover`.
type takeoverFlags struct {
	check, apply, json    bool
	maildir, owner, group string
}

func takeoverCommand() *cobra.Command {
	var f takeoverFlags
	cmd := &cobra.Command{
		Use: "takeover --check|--apply USER...", Short: "Make existing Maildirs ready for imapd and deliverd",
		Long: "Looks through the Maildirs of users, usually Dovecot's, for what imapd and deliverd need: directories of mode 2770, files of mode 0660, " +
			"one group. --check prints what would be changed, and what stands in the way, and changes nothing; --apply does it. " +
			"Names, contents, UIDs and times stay as they are, and Dovecot can go on with the mail. " +
			"Run it as root, or as the user whose mail it is, while nobody is logged in and no other server uses the mail. Where the mail lies is asked of the running imapd, or of authd, which answers imapd's user alone, or said with --maildir.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runTakeover(cmd, f, args) },
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "print what would be changed")
	cmd.Flags().BoolVar(&f.apply, "apply", false, "change it")
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object per user")
	cmd.Flags().StringVar(&f.maildir, "maildir", "", "the `folder` of the one user that is named")
	cmd.Flags().StringVar(&f.owner, "owner", "", "new owner of the mail, a `user` or uid; without it the owner stays")
	cmd.Flags().StringVar(&f.group, "group", "vmail", "new `group` of the mail; empty: it stays")
	return cmd
}

func runTakeover(cmd *cobra.Command, f takeoverFlags, users []string) error {
	if f.check == f.apply {
		return fail.New(fail.Invalid, "say either --check, which changes nothing, or --apply")
	}
	if f.maildir != "" && len(users) > 1 {
		return fail.New(fail.Invalid, "--maildir is the folder of one user, %d are named", len(users))
	}
	o := takeover.Options{Apply: f.apply}
	for _, name := range []string{"imapd", "deliverd"} {
		if uid, err := uidOf(name); err == nil { // else there is no such user here
			o.Known = append(o.Known, uid)
		}
	}
	var err error
	if o.UID, err = uidOf(f.owner); err != nil {
		return err
	}
	if o.GID, err = gidOf(f.group); err != nil {
		return err
	}
	var cfg *Config
	if f.maildir == "" {
		if cfg, err = configOf(cmd); err != nil {
			return err
		}
	}
	bad := 0
	bar := service.NewProgress(os.Stderr, "", 0)
	for _, name := range users {
		r, err := takeOne(cmd, cfg, f.maildir, name, o, bar)
		bar.Clear()
		if err == nil {
			err = printReport(cmd.OutOrStdout(), r, f.json)
			bad += len(r.Problems)
		}
		if err != nil {
			return err
		}
	}
	if bad > 0 {
		return fail.New(fail.Permanent, "%d problems stand in the way", bad)
	}
	return nil
}

func takeOne(cmd *cobra.Command, cfg *Config, maildir, name string, o takeover.Options, bar *service.Progress) (*takeover.Report, error) {
	rec, err := recordOf(cmd, cfg, name, maildir)
	if err != nil {
		return nil, err
	}
	root, err := rec.Maildir()
	if err != nil {
		return nil, err
	}
	o.Progress = func(done int64) { bar.Set(name+": files", done, 0) }
	r, err := takeover.Run(cmd.Context(), root, o)
	if err != nil {
		return nil, fail.Wrap(fail.KindOf(err), err, "user %s", name)
	}
	r.User = name
	return r, nil
}

func printReport(w io.Writer, r *takeover.Report, asJSON bool) error {
	if asJSON {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(w, string(text))
		return err
	}
	verb := "would change"
	if r.Applied {
		verb = "changed"
	}
	fmt.Fprintf(w, "%s: %s: %d folders, %d messages\n", r.User, r.Maildir, r.Folders, r.Messages)
	if r.Changes() == 0 {
		fmt.Fprintln(w, "  modes, owners and groups are right")
	} else {
		fmt.Fprintf(w, "  %s: modes of %d directories and %d files, owners of %d, groups of %d\n", verb, r.DirModes, r.FileModes, r.Owners, r.Groups)
	}
	if r.HighestModSeq > 0 {
		fmt.Fprintf(w, "  Dovecot's HIGHESTMODSEQ is %d at most; imapd begins above it\n", r.HighestModSeq)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", n)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  problem: %s\n", p)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "  and %d more\n", r.More)
	}
	return nil
}

func uidOf(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fail.Wrap(fail.Invalid, err, "--owner")
	}
	return strconv.Atoi(u.Uid)
}

func gidOf(name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fail.Wrap(fail.Invalid, err, "--group")
	}
	return strconv.Atoi(g.Gid)
}
