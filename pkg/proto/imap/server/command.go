package server

import (
	"context"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// rule is the set of what the loop must know about a command.
type rule uint16

const (
	// The states in which a command is allowed (RFC 3501 section 3).
	authed rule = 1 << iota
	selected

	// useSeq: its arguments are message sequence numbers, so no EXPUNGE may
	// be sent while it runs or in its answer (RFC 3501 section 7.4.1).
	useSeq
	// breakSeq: it changes what sequence numbers mean, so nothing that uses
	// them may run at the same time (RFC 9051 section 5.5).
	breakSeq
	// look: the mailbox is looked at for changes by other programs before
	// the answer.
	look
	// uidForm: "UID verb" exists, with UIDs in place of sequence numbers.
	uidForm

	anyState = authed | selected
)

// spec is one row of the command table.
type spec struct {
	name  string
	rules rule
	// parse reads the arguments, up to and without the end of the line. uid
	// says that the command came as "UID name".
	parse func(p *parser, uid bool) runner
}

// runner is a parsed command. run answers untagged lines through the session
// and returns the tagged one.
type runner interface {
	run(ctx context.Context, s *session) reply
}

// parser is the reader with what the names in it depend on.
type parser struct {
	*wire.Reader
	utf8  bool
	delim byte
	max   int64 // of a message literal
}

// commandTable returns the commands by name.
func commandTable() map[string]spec {
	table := map[string]spec{}
	for _, c := range commands() {
		table[c.name] = c
	}
	return table
}

// commands is the command table. Names are upper case; a uidForm appears
// under its plain name.
func commands() []spec {
	return []spec{
		{"CAPABILITY", anyState, parseCapability},
		{"NOOP", anyState | look, parseNoop},
		{"LOGOUT", anyState | breakSeq, parseLogout},
		{"ID", anyState, parseID},
		{"ENABLE", anyState, parseEnable},

		{"SELECT", anyState | breakSeq, parseSelect},
		{"EXAMINE", anyState | breakSeq, parseExamine},
		{"CREATE", anyState, parseCreate},
		{"DELETE", anyState | breakSeq, parseDelete},
		{"RENAME", anyState | breakSeq, parseRename},
		{"SUBSCRIBE", anyState, parseSubscribe},
		{"UNSUBSCRIBE", anyState, parseUnsubscribe},
		{"LIST", anyState, parseList},
		{"LSUB", anyState, parseLsub},
		{"NAMESPACE", anyState, parseNamespace},
		{"STATUS", anyState, parseStatus},
		{"APPEND", anyState, parseAppend},
		{"IDLE", anyState | look, parseIdle},

		{"CHECK", selected | look, parseCheck},
		{"CLOSE", selected | breakSeq, parseClose},
		{"UNSELECT", selected | breakSeq, parseUnselect},
		{"EXPUNGE", selected | breakSeq | look | uidForm, parseExpunge},
		{"SEARCH", selected | useSeq | uidForm, parseSearch},
		{"FETCH", selected | useSeq | uidForm, parseFetch},
		{"STORE", selected | useSeq | uidForm, parseStore},
		{"COPY", selected | uidForm, parseCopy},
		{"MOVE", selected | breakSeq | uidForm, parseMove},
	}
}

// reply is the tagged answer to a command.
type reply struct {
	typ  imap.StatusResponseType
	code string // without brackets, may be empty
	text string
}

func ok(text string) reply { return reply{imap.StatusResponseTypeOK, "", text} }

func okCode(code, text string) reply { return reply{imap.StatusResponseTypeOK, code, text} }

func no(code imap.ResponseCode, text string) reply {
	return reply{imap.StatusResponseTypeNo, string(code), text}
}

func bad(text string) reply { return reply{imap.StatusResponseTypeBad, "", text} }

// result is the reply's type as a metric label.
func (r reply) result() string { return strings.ToLower(string(r.typ)) }

// none is the answer of a command that has ended the session: there is no
// tagged line.
func none() reply { return reply{} }
