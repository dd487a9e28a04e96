package session

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// quotaLine is the answer of `imapd quota`. A limit of 0 is none.
type quotaLine struct {
	User         string `json:"user"`
	Name         string `json:"name"`
	Bytes        int64  `json:"bytes"`
	BytesLimit   int64  `json:"bytes_limit"`
	Messages     int64  `json:"messages"`
	MessageLimit int64  `json:"messages_limit"`
}

// quotaOf looks up what an account holds, or with recalc counts all its mail
// anew. Where nothing is limited nothing is kept, and it is always counted.
func quotaOf(ctx context.Context, a *mailbox.Account, recalc bool) (quotaLine, error) {
	m := a.Meter()
	limits := m.Limits()
	look := m.Usage
	switch {
	case recalc:
		look = m.Recalculate
	case limits.None():
		look = m.Count
	}
	used, err := look(ctx)
	return quotaLine{a.User(), quotaRoot, used.Bytes, limits.Bytes, used.Messages, limits.Messages}, err
}

// print is doveadm's table: kilobytes, "-" for no limit, hundredths used.
func (q quotaLine) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "quota name\ttype\tvalue\tlimit\t%")
	for _, r := range []struct {
		kind        string
		used, limit int64
		hundredths  int64
	}{
		{"STORAGE", kib(q.Bytes), kib(q.BytesLimit), share(q.Bytes, q.BytesLimit)},
		{"MESSAGE", q.Messages, q.MessageLimit, share(q.Messages, q.MessageLimit)},
	} {
		limit := "-"
		if r.limit > 0 {
			limit = fmt.Sprint(r.limit)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\n", q.Name, r.kind, r.used, limit, r.hundredths)
	}
	return t.Flush()
}

// share is how many hundredths of the limit are used.
func share(used, limit int64) int64 {
	if limit <= 0 {
		return 0
	}
	return int64(float64(used) / float64(limit) * 100)
}

// verbQuota: QUOTA get|recalc user.
func (r *role) verbQuota(ctx context.Context, args []string, emit control.Emit) error {
	if len(args) != 2 || args[0] != "get" && args[0] != "recalc" || args[1] == "" {
		return fail.New(fail.Invalid, "QUOTA wants get or recalc, and a user")
	}
	account, err := r.accountOf(ctx, args[1])
	if err != nil {
		return err
	}
	defer account.Close()
	line, err := quotaOf(ctx, account, args[0] == "recalc")
	if err != nil {
		return err
	}
	return emit(line)
}

func quotaCommand() *cobra.Command {
	root := &cobra.Command{
		Use: "quota", Short: "Tell how much mail a user has",
		Long: "Works through the running daemon. While it does not run, the command takes the account's lock itself: run it then as the daemon's own user. " +
			"STORAGE is in kilobytes, with --json in bytes.",
	}
	root.PersistentFlags().Bool("json", false, "print a JSON object")
	root.PersistentFlags().String("maildir", "", "the user's `folder`, while neither imapd nor authd runs")
	for _, v := range [][2]string{
		{"get", "Tell what the user has and may have"},
		{"recalc", "Count all of the user's mail anew, and tell it"},
	} {
		root.AddCommand(&cobra.Command{
			Use: v[0] + " USER", Short: v[1], Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return runQuota(cmd, v[0], args[0]) },
		})
	}
	return root
}

func runQuota(cmd *cobra.Command, op, user string) error {
	asJSON, err := cmd.Flags().GetBool("json")
	if err != nil {
		return err
	}
	var line quotaLine
	client, err := dial(cmd)
	switch {
	case err == nil:
		defer client.Close()
		err = client.One(cmd.Context(), &line, "QUOTA", op, user)
	case fail.Is(err, fail.Unavailable):
		err = offline(cmd, user, func(ctx context.Context, a *mailbox.Account) (err error) {
			line, err = quotaOf(ctx, a, op == "recalc")
			return err
		})
	}
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(line)
	}
	return line.print(cmd.OutOrStdout())
}
