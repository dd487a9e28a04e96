package server

import (
	"context"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// rule is the set of what the loop must know about a command.
type rule uint8

const (
	// The states in which a command is allowed (RFC 3501 section 3).
	authed rule = 1 << iota
	selected

	// useSeq: its arguments are message sequence numbers, so no EXPUNGE may
	// be sent while it runs or in its answer (RFC 3501 section 7.4.1).
	useSeq
	// look: the mailbox is looked at for changes by other programs before
	// the answer.
	look
	// uidForm: "UID verb" exists, with UIDs in place of sequence numbers.
	uidForm
	// passive: nothing is lost when it stops in the middle because nobody is
	// there any more to hear the answer.
	passive

	anyState = authed | selected
)

// effects is what decides which commands of a session may run beside each
// other (RFC 9051 section 5.5): two that only read may, and two that touch
// different things.
type effects uint16

const (
	// alone: it changes what other commands mean, or needs the connection to
	// itself. Nothing runs beside it, and nothing is read ahead behind it.
	alone effects = 1 << iota
	// The flags of the messages in the selected mailbox.
	readsFlags
	writesFlags
	// The list of mailboxes, and what is in those that are not selected.
	readsBoxes
	writesBoxes
	// The result of the last search that was saved, "$" (RFC 5182 section 2.3).
	readsSaved
	writesSaved
	// countsMessages: message numbers are in its arguments. Until it has
	// ended, no EXPUNGE is sent.
	countsMessages
	// expunges: an EXPUNGE may be in its answer, so it must have ended before
	// a later command counts messages.
	expunges
)

// spec is one row of the command table.
type spec struct {
	name  string
	rules rule
	// touches is what the command may do with any arguments; countsMessages,
	// expunges and readsSaved follow from the rules and the sets in them. See
	// narrower.
	touches effects
	// parse reads the arguments, up to and without the end of the line. uid
	// says that the command came as "UID name".
	parse func(p *parser, uid bool) runner
}

// runner is a parsed command. run answers untagged lines through the call
// and returns the tagged one.
type runner interface {
	run(ctx context.Context, s *call) reply
}

// narrower is a runner that touches less, or more, with the arguments it has.
// v is nil when no mailbox is selected.
type narrower interface {
	narrow(e effects, v *view) effects
}

// parser is the reader with what the names in it depend on.
type parser struct {
	*wire.Reader
	utf8 bool    // names are in UTF-8
	on   feature // what is enabled
	// offersUTF8: UTF8=ACCEPT is announced, enabled or not.
	offersUTF8 bool
	delim      byte
	max        int64 // of a message literal

	saved   bool   // this command has named "$"
	charset string // of search strings
	raw     bool   // whatever they are
	keys    int    // of a search
}

// Set reads a set, or "$".
func (p *parser) Set() wire.Set {
	s := p.Reader.Set()
	p.saved = p.saved || s.IsSaved()
	return s
}

// commandTable returns the commands by name.
func commandTable() map[string]*spec {
	table := map[string]*spec{}
	for _, c := range commands() {
		table[c.name] = &c
	}
	return table
}

// commands is the command table. Names are upper case; a uidForm appears
// under its plain name.
func commands() []spec {
	return []spec{
		{"CAPABILITY", anyState, 0, parseCapability},
		{"NOOP", anyState | look, 0, parseNoop},
		{"LOGOUT", anyState, alone, parseLogout},
		{"ID", anyState, 0, parseID},
		{"ENABLE", anyState, alone, parseEnable},
		{"COMPRESS", anyState, alone, parseCompress},
		{"UNAUTHENTICATE", anyState, alone, parseUnauthenticate},

		{"SELECT", anyState, alone, parseSelect},
		{"EXAMINE", anyState, alone, parseExamine},
		{"CREATE", anyState, writesBoxes, parseCreate},
		{"DELETE", anyState, alone, parseDelete},
		{"RENAME", anyState, alone, parseRename},
		{"SUBSCRIBE", anyState, writesBoxes, parseSubscribe},
		{"UNSUBSCRIBE", anyState, writesBoxes, parseUnsubscribe},
		{"LIST", anyState | passive, readsBoxes | readsFlags, parseList},
		{"LSUB", anyState | passive, readsBoxes, parseLsub},
		{"NAMESPACE", anyState, 0, parseNamespace},
		{"STATUS", anyState | passive, readsBoxes | readsFlags, parseStatus},
		{"APPEND", anyState, alone, parseAppend},
		{"GETQUOTA", anyState, readsBoxes, parseGetQuota},
		{"GETQUOTAROOT", anyState, readsBoxes, parseGetQuotaRoot},
		{"SETQUOTA", anyState, 0, parseSetQuota},
		{"IDLE", anyState | look, alone, parseIdle},
		{"NOTIFY", anyState | look, alone, parseNotify},

		{"CHECK", selected | look, 0, parseCheck},
		{"CLOSE", selected, alone, parseClose},
		{"UNSELECT", selected, alone, parseUnselect},
		{"EXPUNGE", selected | look | uidForm, alone, parseExpunge},
		{"SEARCH", selected | useSeq | uidForm | passive, readsFlags, parseSearch},
		{"SORT", selected | useSeq | uidForm | passive, readsFlags, parseSort},
		{"THREAD", selected | useSeq | uidForm | passive, readsFlags, parseThread},
		{"FETCH", selected | useSeq | uidForm | passive, readsFlags | writesFlags, parseFetch},
		{"STORE", selected | useSeq | uidForm, readsFlags | writesFlags, parseStore},
		{"COPY", selected | uidForm, readsFlags | writesBoxes, parseCopy},
		{"MOVE", selected | uidForm, alone, parseMove},
		{"REPLACE", selected | look | uidForm, alone, parseReplace},
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
func (r reply) result() string {
	switch r.typ {
	case imap.StatusResponseTypeOK:
		return "ok"
	case imap.StatusResponseTypeNo:
		return "no"
	}
	return "bad"
}

// none is the answer of a command that has ended the session: there is no
// tagged line.
func none() reply { return reply{} }
