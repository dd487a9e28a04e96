package server

import (
	"strconv"
)

// Count is how often a verb was used.
type Count struct {
	Verb  string // lower case; "unknown" for all others
	OK    int
	Total int
}

// End is why a connection ended.
type End uint8

// The reasons.
const (
	Quit          End = iota // the client said QUIT
	Lost                     // the client hung up, or the network failed
	TimedOut                 // a time limit was exceeded
	TooManyErrors            // Limits.HardErrors
	Refused                  // by Accept, by a 421 or 521 of a hook, or for a protocol offence
	Shutdown                 // the server is stopping
	TLSFailed                // a handshake failed
)

var ends = [...]string{"quit", "lost", "timeout", "errors", "refused", "shutdown", "tls"}

func (e End) String() string {
	if int(e) < len(ends) {
		return ends[e]
	}
	return "unknown"
}

// Summary is a finished connection.
type Summary struct {
	Counts []Count // verbs that were used, in Postfix's order
	OK     int     // commands
	Total  int
	End    End
	After  string // where: CONNECT, a verb, END-OF-MESSAGE
	Inside bool   // the end came inside the content of a message
	Bytes  int64  // of it that were received
	Err    error  // of Lost and TLSFailed
}

// String returns the tail of Postfix's line, "ehlo=1 auth=0/1 commands=1/2".
func (s Summary) String() string {
	var b []byte
	for _, c := range s.Counts {
		b = appendCount(b, c.Verb, c.OK, c.Total)
		b = append(b, ' ')
	}
	if s.Total == 0 {
		return string(append(b, "commands=0/0"...))
	}
	return string(appendCount(b, "commands", s.OK, s.Total))
}

func appendCount(b []byte, name string, ok, total int) []byte {
	b = append(b, name...)
	b = append(b, '=')
	b = strconv.AppendInt(b, int64(ok), 10)
	if ok != total {
		b = append(b, '/')
		b = strconv.AppendInt(b, int64(total), 10)
	}
	return b
}

// EventKind says what the engine did by itself.
type EventKind uint8

// The kinds.
const (
	EventTLS         EventKind = iota // a handshake succeeded; see Conn.TLS
	EventTLSFailed                    // Err
	EventAuth                         // AUTH succeeded; see Conn.User
	EventAuthFailed                   // Reply, Err, Mech, Own
	EventAuthAborted                  // the client gave up a login: Mech
	EventRefused                      // the engine refused a command: Why, Verb, Reply, Input, Tx
	EventPipelining                   // improper command pipelining: Verb, Input
	EventForbidden                    // a verb of another protocol: Input
)

// Why is the kind of an EventRefused.
type Why uint8

// The kinds of refusals.
const (
	Misuse     Why = iota // a command that does not exist, is malformed, or comes in the wrong place
	BadAddress            // Input is the address as it was sent
	BadChunk              // BDAT without a size, or of a chunk that is not taken
	TooLong               // a command line
	Unwanted              // what the policy forbids: too large a message, bare LF; Verb may be END-OF-MESSAGE
)

// Event is something no other hook tells.
type Event struct {
	Kind  EventKind
	Why   Why
	Verb  string // the command at hand
	Reply Reply
	Mech  string
	Input string // at most 100 octets, printable
	Err   error
	Own   bool         // the Authenticator has not seen the login
	Tx    *Transaction // nil outside of one
}
