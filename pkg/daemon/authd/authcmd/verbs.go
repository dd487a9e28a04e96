package authcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"

	"github.com/postcote/postcote/pkg/daemon/service"
)

// Verbs of the control socket. All are the administrator's.
const (
	VerbLookup = "LOOKUP" // NAME SERVICE [ADDRESS]: one Found
	VerbFailed = "FAILED" // [COUNT]: Failed, the latest first
	VerbFlush  = "FLUSH"  // [NAME]…: one Flushed
)

// Answer is what one database says of a user.
type Answer struct {
	DB   string `json:"db,omitempty"` // not known when none of them could say
	Says string `json:"says"`         // "found", or why not
}

// Field is an extra field of a database.
type Field struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
}

// Side is what one list of databases knows of a user.
type Side struct {
	Answers []Answer `json:"answers"` // in the order of asking
	Found   bool     `json:"found"`
	Error   string   `json:"error,omitempty"` // why nobody knows
	Fields  []Field  `json:"fields,omitempty"`
}

// Found is the answer of LOOKUP.
type Found struct {
	User   string `json:"user"` // canonical
	Userdb Side   `json:"userdb"`
	Passdb Side   `json:"passdb"`
}

// Failed is a refused login, and how long the next one would have to wait.
type Failed struct {
	Time    time.Time `json:"time"`
	User    string    `json:"user"`
	Addr    string    `json:"addr,omitempty"`
	Service string    `json:"service"`
	Reason  string    `json:"reason"`
	Penalty float64   `json:"penalty_seconds"`
}

// Flushed is the answer of FLUSH.
type Flushed struct {
	Entries int `json:"entries"`
}

// each asks the running daemon and hands over every value of its answer, also
// as the text that it was.
func each[T any](cmd *cobra.Command, verb string, args []string, use func(v T, text []byte) error) error {
	c, err := service.Dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
	defer cancel()
	return c.Each(ctx, verb, args, func(raw json.RawMessage) error {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		return use(v, bytes.TrimSpace(raw))
	})
}
