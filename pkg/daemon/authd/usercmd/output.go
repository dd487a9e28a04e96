package usercmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// list writes a table, or a JSON object for each row.
type list struct {
	json  *json.Encoder
	table *tabwriter.Writer
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object for each line")
}

// newList begins a list with these columns; a table of one column has no head.
func newList(w io.Writer, asJSON bool, columns ...string) *list {
	if asJSON {
		return &list{json: json.NewEncoder(w)}
	}
	l := &list{table: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	if len(columns) > 1 {
		_, _ = fmt.Fprintln(l.table, strings.Join(columns, "\t"))
	}
	return l
}

// row adds value, whose cells stand for it in the table.
func (l *list) row(value any, cells ...string) error {
	if l.json != nil {
		return l.json.Encode(value)
	}
	_, err := fmt.Fprintln(l.table, strings.Join(cells, "\t"))
	return err
}

func (l *list) end() error {
	if l.table != nil {
		return l.table.Flush()
	}
	return nil
}

// when is a time for JSON, left out if there is none.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// at is a time for a table.
func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

// listedUser is a user in JSON. There is no password in it.
type listedUser struct {
	Name            string         `json:"name"`
	UID             int            `json:"uid,omitempty"`
	GID             int            `json:"gid,omitempty"`
	Home            string         `json:"home,omitempty"`
	Locked          bool           `json:"locked"` // the main password lets nobody in
	Enabled         bool           `json:"enabled"`
	QuotaStorage    int64          `json:"quota_storage,omitempty"`
	QuotaMessages   int64          `json:"quota_messages,omitempty"`
	AppPasswords    int            `json:"app_passwords,omitempty"` // in force
	Fields          map[string]any `json:"fields,omitempty"`
	PasswordChanged *time.Time     `json:"password_changed,omitempty"`
	Created         *time.Time     `json:"created,omitempty"`
	Line            int            `json:"line,omitempty"` // of a passwd-file
}

func listed(u user) listedUser {
	l := listedUser{
		Name: u.Address, UID: u.UID, GID: u.GID, Home: u.Home, Locked: u.locked(), Enabled: u.Enabled,
		QuotaStorage: u.Quota.Storage, QuotaMessages: u.Quota.Messages, AppPasswords: u.AppPasswords, Line: u.line,
		PasswordChanged: when(u.PasswordChanged), Created: when(u.Created),
	}
	for _, f := range u.Fields {
		if l.Fields == nil {
			l.Fields = map[string]any{}
		}
		l.Fields[f.Key] = f.Value
		if f.Flag {
			l.Fields[f.Key] = true
		}
	}
	return l
}

// state is what keeps a user from logging in.
func (u user) state() string {
	switch {
	case !u.Enabled:
		return "disabled"
	case u.locked() && u.AppPasswords > 0:
		return "app passwords only"
	case u.locked():
		return "locked"
	}
	return "enabled"
}

func quotaText(q localdb.Quota) string {
	var parts []string
	if q.Storage > 0 {
		parts = append(parts, conf.Size(q.Storage).String())
	}
	if q.Messages > 0 {
		parts = append(parts, strconv.FormatInt(q.Messages, 10)+" messages")
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func fieldText(f account.Field) string {
	if f.Flag {
		return f.Key
	}
	return f.Key + "=" + f.Value
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// show prints one user as lines of key and value.
func show(w io.Writer, u user) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	line := func(key, value string) {
		if value != "" && value != "-" && value != "0" {
			_, _ = fmt.Fprintln(t, key+"\t"+value)
		}
	}
	line("name", u.Address)
	line("state", u.state())
	line("quota", quotaText(u.Quota))
	line("uid", strconv.Itoa(u.UID))
	line("gid", strconv.Itoa(u.GID))
	line("home", u.Home)
	for _, f := range u.Fields {
		line("field", fieldText(f))
	}
	line("app passwords", strconv.Itoa(u.AppPasswords))
	line("password changed", at(u.PasswordChanged))
	line("created", at(u.Created))
	line("line", strconv.Itoa(u.line))
	return t.Flush()
}
