package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/imapd/folders"
	"github.com/postcote/postcote/pkg/daemon/service"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/control"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// boxLine is one line of the answer of `imapd mailbox`; what is empty is not
// asked for.
type boxLine struct {
	Folder     string          `json:"folder"`
	SpecialUse string          `json:"special_use,omitempty"`
	Subscribed bool            `json:"subscribed,omitempty"`
	Missing    bool            `json:"missing,omitempty"` // subscribed, or a parent, and no folder
	Status     *mailbox.Status `json:"status,omitempty"`

	Verdict *mailbox.Verdict `json:"verdict,omitempty"`
	Done    string           `json:"done,omitempty"` // "repair", "rebuild"

	At *[2]int `json:"at,omitempty"` // how far a check is: messages looked at, messages in all
}

// whereLine is the answer to MAILBOX where: for commands whose user authd does
// not answer.
type whereLine struct {
	User    string `json:"user"`
	Maildir string `json:"maildir"`
}

// boxWork does one thing to the folders of an account, or to one of them.
type boxWork struct {
	op      string
	account *mailbox.Account
	emit    func(boxLine) error
}

// run goes through the folders, or does it to the one that is named.
func (w boxWork) run(ctx context.Context, only string) error {
	list, err := w.account.List(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, f := range list {
		if only != "" && f.Name != only {
			continue
		}
		found = true
		line := boxLine{Folder: f.Name, SpecialUse: strings.Join(f.SpecialUses, " "), Subscribed: f.Subscribed, Missing: !f.Exists || f.NonExistent}
		if !line.Missing {
			if err := w.folder(ctx, &line); err != nil {
				return fail.Wrap(fail.KindOf(err), err, "folder %s", f.Name)
			}
		} else if w.op != "list" {
			continue
		}
		if err := w.emit(line); err != nil {
			return err
		}
	}
	if !found && only != "" {
		return fail.New(fail.NotFound, "user %s has no folder %s", w.account.User(), only)
	}
	return nil
}

// folder does it to one.
func (w boxWork) folder(ctx context.Context, line *boxLine) error {
	switch w.op {
	case "list":
		return nil
	case "status":
		st, err := w.account.Status(ctx, line.Folder, true)
		line.Status = &st
		return err
	case "repair":
		if err := w.account.Repair(ctx, line.Folder); err != nil {
			return err
		}
		line.Done = w.op
	case "rebuild":
		if err := w.account.Rebuild(ctx, line.Folder); err != nil {
			return err
		}
		line.Done = w.op
	}
	v, err := w.account.Check(ctx, line.Folder, func(done, total int) {
		_ = w.emit(boxLine{Folder: line.Folder, At: &[2]int{done, total}}) // one that is gone shows at the next line
	})
	line.Verdict = &v
	return err
}

// verbMailbox: MAILBOX op user [folder].
func (r *role) verbMailbox(ctx context.Context, args []string, emit control.Emit) error {
	if len(args) < 2 || len(args) > 3 || !boxOp(args[0]) {
		return fail.New(fail.Invalid, "MAILBOX wants one of list, status, check, repair, rebuild, a user, and a folder or none")
	}
	rec, err := r.auth.User(ctx, args[1], "imap")
	if err != nil {
		return err
	}
	acfg, err := r.cfg.account(rec, r.folders)
	if err != nil {
		return err
	}
	if args[0] == "where" {
		return emit(whereLine{rec.User, acfg.Maildir})
	}
	account, err := r.store.Account(ctx, acfg)
	if err != nil {
		return err
	}
	defer account.Close()
	return boxWork{args[0], account, func(l boxLine) error { return emit(l) }}.run(ctx, strings.Join(args[2:], ""))
}

func boxOp(op string) bool {
	switch op {
	case "list", "status", "check", "repair", "rebuild", "where":
		return true
	}
	return false
}

func mailboxCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "mailbox", Short: "Look at, check and repair a user's folders",
		Long: "Works through the running daemon. While it does not run, the command takes the account's lock itself: run it then as the daemon's own user.",
	}
	root.PersistentFlags().Bool("json", false, "print one JSON object per line")
	root.PersistentFlags().String("maildir", "", "the user's `folder`, while neither imapd nor authd runs")
	for _, v := range []struct {
		op, short string
		changes   bool
	}{
		{"list", "List the folders", false},
		{"status", "Tell messages, UIDs, MODSEQ and size of the folders", false},
		{"check", "Compare index, UID list and files, changing nothing", false},
		{"repair", "Make index, UID list and files agree", true},
		{"rebuild", "Throw the index away and make it from the files", true},
	} {
		dry := false
		cmd := &cobra.Command{
			Use: v.op + " USER [FOLDER]", Short: v.short, Args: cobra.RangeArgs(1, 2),
			RunE: func(cmd *cobra.Command, args []string) error {
				if dry {
					return runMailbox(cmd, "check", args)
				}
				return runMailbox(cmd, v.op, args)
			},
		}
		if v.changes {
			cmd.Flags().BoolVar(&dry, "dry-run", false, "print what check prints, and change nothing")
		}
		root.AddCommand(cmd)
	}
	return root
}

func runMailbox(cmd *cobra.Command, op string, args []string) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	p := &boxPrinter{op: op, json: asJSON, out: cmd.OutOrStdout(), bar: service.NewProgress(os.Stderr, "", 0)}
	p.table = tabwriter.NewWriter(p.out, 0, 8, 2, ' ', 0)
	client, err := dial(cmd)
	switch {
	case err == nil:
		defer client.Close()
		err = client.Each(cmd.Context(), "MAILBOX", append([]string{op}, args...), func(raw json.RawMessage) error {
			var l boxLine
			if err := json.Unmarshal(raw, &l); err != nil {
				return err
			}
			return p.print(l)
		})
	case fail.Is(err, fail.Unavailable):
		err = offline(cmd, args[0], func(ctx context.Context, a *mailbox.Account) error {
			return boxWork{op, a, p.print}.run(ctx, strings.Join(args[1:], ""))
		})
	}
	p.bar.Clear()
	if err = firstError(err, p.table.Flush()); err == nil && p.problems > 0 {
		err = fail.New(fail.Corrupt, "%d problems; `imapd mailbox repair %s` mends what can be", p.problems, args[0])
	}
	return err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// offline opens a user's mail here. The account's lock keeps the daemon out.
// The command has the flag maildir.
func offline(cmd *cobra.Command, user string, work func(context.Context, *mailbox.Account) error) error {
	cfg, err := configOf(cmd)
	if err != nil {
		return err
	}
	if err := sameOwner(cfg.IndexDir); err != nil {
		return err
	}
	maildir, err := cmd.Flags().GetString("maildir")
	if err != nil {
		return err
	}
	rec, err := recordOf(cmd, cfg, user, maildir)
	if err != nil {
		return err
	}
	acfg, err := cfg.account(rec, folders.All(cfg.Folders, cfg.SpecialFolders))
	if err != nil {
		return err
	}
	for i := range acfg.Folders { // a look must not make folders
		acfg.Folders[i].Auto = mailbox.AutoNo
	}
	store, err := mailbox.NewStore(mailbox.Config{FS: disk.OS(), IndexRoot: cfg.IndexDir, NoWatch: true, Log: obs.Discard()})
	if err != nil {
		return err
	}
	account, err := store.Account(cmd.Context(), acfg)
	if err == nil {
		err = work(cmd.Context(), account)
	}
	// The lock is given back whatever happened.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), time.Minute)
	defer cancel()
	return firstError(err, store.Close(ctx))
}

// sameOwner refuses to leave files that the daemon could not open.
func sameOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fail.Wrap(fail.NotFound, err, "index_dir")
	}
	if id, _ := disk.Owner(info); id >= 0 && id != os.Geteuid() {
		return fail.New(fail.Denied, "the daemon does not run and %s belongs to uid %d; run this as that user: runuser -u imapd -- imapd ...", dir, id)
	}
	return nil
}

// recordOf finds out where a user's mail is: from the command line, from the
// running daemon, or from authd, which answers the daemon's own user alone.
func recordOf(cmd *cobra.Command, cfg *Config, user, maildir string) (userdbclient.UserRecord, error) {
	if maildir != "" {
		return userdbclient.UserRecord{User: user, Mail: "maildir:" + maildir}, nil
	}
	ctx := cmd.Context()
	if client, err := service.Dial(cmd); err == nil {
		defer client.Close()
		var at whereLine
		err := client.One(ctx, &at, "MAILBOX", "where", user)
		return userdbclient.UserRecord{User: at.User, Mail: "maildir:" + at.Maildir}, err
	}
	auth := userdbclient.New(userdbclient.Config{Address: cfg.AuthSocket, RequestTimeout: cfg.AuthWait.Std()})
	defer auth.Close()
	rec, err := auth.User(ctx, user, "imap")
	if fail.Is(err, fail.Unavailable) {
		return rec, fail.Wrap(fail.Unavailable, err, "where is the mail of %s? (--maildir says so without authd)", user)
	}
	return rec, err
}

// boxPrinter shows lines as they come.
type boxPrinter struct {
	op       string
	json     bool
	out      io.Writer
	table    *tabwriter.Writer
	bar      *service.Progress
	titled   bool
	problems int
}

func (p *boxPrinter) print(l boxLine) error {
	if l.At != nil {
		p.bar.Set(l.Folder, int64(l.At[0]), int64(l.At[1]))
		return nil
	}
	p.bar.Clear()
	if l.Verdict != nil {
		p.problems += len(l.Verdict.Problems) + l.Verdict.More
	}
	if p.json {
		text, err := json.Marshal(l)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.out, string(text))
		return err
	}
	switch {
	case l.Verdict != nil:
		return p.verdict(l)
	case l.Status != nil:
		p.title("folder\tmessages\tunseen\tuidvalidity\tuidnext\thighestmodseq\tbytes\tguid")
		s := l.Status
		fmt.Fprintf(p.table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Folder, s.Messages, s.Unseen, s.UIDValidity, s.UIDNext, s.HighestModSeq, s.Size, s.GUID)
	default:
		p.title("folder\tsubscribed\tspecial use\t")
		note := ""
		if l.Missing {
			note = "no folder"
		}
		fmt.Fprintf(p.table, "%s\t%s\t%s\t%s\n", l.Folder, yes(l.Subscribed), l.SpecialUse, note)
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (p *boxPrinter) title(text string) {
	if !p.titled {
		p.titled = true
		fmt.Fprintln(p.table, text)
	}
}

func (p *boxPrinter) verdict(l boxLine) error {
	done := ""
	if l.Done != "" {
		done = ", " + map[string]string{"repair": "repaired", "rebuild": "rebuilt"}[l.Done]
	}
	if len(l.Verdict.Problems) == 0 {
		_, err := fmt.Fprintf(p.out, "%s: %d messages%s: ok\n", l.Folder, l.Verdict.Messages, done)
		return err
	}
	fmt.Fprintf(p.out, "%s: %d messages%s:\n", l.Folder, l.Verdict.Messages, done)
	for _, what := range l.Verdict.Problems {
		fmt.Fprintf(p.out, "  %s\n", what)
	}
	if l.Verdict.More > 0 {
		fmt.Fprintf(p.out, "  and %d more\n", l.Verdict.More)
	}
	return nil
}
