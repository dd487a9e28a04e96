package server

import "bytes"

// state is where a session stands; states are bits, so that a command can
// name those it is allowed in.
type state uint8

const (
	stateStart   state = 1 << iota // no HELO, EHLO or LHLO yet
	stateReady                     // between transactions
	stateMail                      // MAIL was accepted
	stateRcpt                      // and at least one RCPT
	stateChunk                     // between BDAT commands
	stateRefused                   // Accept did not want the client
)

const (
	anyTime   = stateStart | stateReady | stateMail | stateRcpt | stateChunk
	afterHelo = stateReady | stateMail | stateRcpt | stateChunk
)

// command is one row of the command table.
type command struct {
	name    string
	count   string // its name in the summary
	smtp    bool   // exists in SMTP mode
	lmtp    bool   // exists in LMTP mode
	states  state  // where it is allowed; elsewhere outOfState replies
	last    bool   // must end a pipelined group (RFC 2920 section 3.1)
	clear   bool   // allowed in the clear under Policy.RequireTLS
	junk    bool   // counts against Limits.Junk
	aborts  bool   // between BDAT chunks: ends the message, then runs
	joins   bool   // may run while RCPT verdicts are outstanding
	handler func(e *engine, args []byte) Reply
}

// table is the command table of a server.
type table [unknown]command

// newTable is the table, in the order of Postfix's disconnect line.
func newTable() *table {
	return &table{
		{name: "HELO", count: "helo", smtp: true, states: anyTime, last: true, clear: true, junk: true, aborts: true, handler: (*engine).cmdHelo},
		{name: "EHLO", count: "ehlo", smtp: true, states: anyTime, last: true, clear: true, junk: true, aborts: true, handler: (*engine).cmdEhlo},
		{name: "LHLO", count: "lhlo", lmtp: true, states: anyTime, last: true, clear: true, junk: true, aborts: true, handler: (*engine).cmdLhlo},
		{name: "STARTTLS", count: "starttls", smtp: true, lmtp: true, states: anyTime, last: true, clear: true, aborts: true, handler: (*engine).cmdStartTLS},
		{name: "XCLIENT", count: "xclient", smtp: true, states: stateStart | stateReady, last: true, handler: (*engine).cmdXclient},
		{name: "XFORWARD", count: "xforward", smtp: true, states: stateStart | stateReady, handler: (*engine).cmdXforward},
		{name: "AUTH", count: "auth", smtp: true, lmtp: true, states: stateReady, last: true, handler: (*engine).cmdAuth},
		{name: "MAIL", count: "mail", smtp: true, lmtp: true, states: stateReady, handler: (*engine).cmdMail},
		{name: "RCPT", count: "rcpt", smtp: true, lmtp: true, states: stateMail | stateRcpt, joins: true, handler: (*engine).cmdRcpt},
		{name: "DATA", count: "data", smtp: true, lmtp: true, states: stateRcpt, last: true, handler: (*engine).cmdData},
		{name: "BDAT", count: "bdat", smtp: true, lmtp: true, states: anyTime, handler: (*engine).cmdBdat},
		{name: "RSET", count: "rset", smtp: true, lmtp: true, states: anyTime, junk: true, aborts: true, handler: (*engine).cmdRset},
		{name: "NOOP", count: "noop", smtp: true, lmtp: true, states: anyTime, last: true, clear: true, junk: true, handler: (*engine).cmdNoop},
		{name: "VRFY", count: "vrfy", smtp: true, lmtp: true, states: anyTime, last: true, junk: true, handler: (*engine).cmdVrfy},
		{name: "ETRN", count: "etrn", smtp: true, states: stateStart | stateReady, last: true, junk: true, handler: (*engine).cmdEtrn},
		{name: "HELP", count: "help", smtp: true, lmtp: true, states: anyTime, junk: true, handler: (*engine).cmdHelp},
		{name: "QUIT", count: "quit", smtp: true, lmtp: true, states: anyTime | stateRefused, last: true, clear: true, aborts: true, handler: (*engine).cmdQuit},
	}
}

// Rows that the engine must find without a line from the client; unknown, one
// behind the last row, stands for everything that is no command.
const (
	rcptIndex = 8
	bdatIndex = 10
	unknown   = 17
)

// lookup returns the row of verb, or unknown.
func (t *table) lookup(verb []byte, mode Mode) int {
	for i := range t {
		c := &t[i]
		if len(c.name) == len(verb) && (mode == LMTP && c.lmtp || mode == SMTP && c.smtp) && equalFold(verb, c.name) {
			return i
		}
	}
	return unknown
}

// DefaultForbidden are verbs of protocols that a confused or hostile browser
// can be made to speak to us.
func DefaultForbidden() []string {
	return []string{"CONNECT", "GET", "POST", "PUT", "HEAD", "OPTIONS", "USER", "PASS"}
}

// foreign reports whether a line comes from another protocol: HTTP, POP3, TLS
// without STARTTLS, message headers of a client that lost its place.
func (c *Config) foreign(verb []byte) bool {
	if len(verb) == 0 {
		return false
	}
	if c := verb[0] | 0x20; c < 'a' || c > 'z' || bytes.IndexByte(verb, ':') > 0 {
		return true
	}
	for _, f := range c.Forbidden {
		if equalFold(verb, f) {
			return true
		}
	}
	return false
}

// equalFold compares b with s, which is upper case ASCII.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
