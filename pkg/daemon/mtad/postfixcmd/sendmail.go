package postfixcmd

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/daemon/mtad/verifying"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// sendmailOptions are Postfix's, and those of Sendmail that callers use
// without wanting to hear of them.
const sendmailOptions = "A:B:C:F:GIL:N:O:R:UV:X:ab:ce:f:h:imno:p:r:q:tvx"

// modes of -b.
const (
	modeDeliver = 'm'
	modeSMTP    = 's'
	modeQueue   = 'p'
	modeAliases = 'i'
	modeVerify  = 'v'
	modeFlush   = 'q' // ours: option -q
	modeDaemon  = 'd'
)

// letter is a message to be submitted: what the command line says of it.
type letter struct {
	sender     addr.Address
	fullName   string
	rcpts      []addr.Address
	notify     []smtp.DSNNotify
	ret        smtp.DSNReturn
	envID      string
	eightBit   bool
	fromHeader bool // -t
	dotEnds    bool // not -i
}

// request is the whole command line.
type request struct {
	letter
	mode      byte
	from      string
	hasFrom   bool
	flushID   string
	flushSite string
	aliases   string // -oA
	verbose   bool
}

// sendmail is sendmail(1).
func (t *tool) sendmail(ctx context.Context, args []string) int {
	return t.sendmailAs(ctx, modeDeliver, args)
}

// sendmailAs is sendmail in a mode that options may change.
func (t *tool) sendmailAs(ctx context.Context, mode byte, args []string) int {
	// The drop's folder gives its files mtad's group, which has to read them.
	setUmask(0o027)
	req := &request{mode: mode, letter: letter{dotEnds: true}}
	opts, rest, bad := getopt(bareOptions(args), sendmailOptions)
	if bad != 0 {
		t.badOption(sendmailOptions, bad)
		return t.fatal(exitUsage, "usage: %s [options]", t.name)
	}
	for _, o := range opts {
		if code := t.option(req, o); code != exitOK {
			return code
		}
	}
	if req.mode == modeDeliver || req.mode == modeVerify {
		return t.deliver(ctx, req, rest)
	}
	// A message that was meant must not seem to be sent.
	switch {
	case req.fromHeader:
		return t.fatal(exitUsage, "-t can be used only in delivery mode")
	case len(rest) > 0:
		return t.fatal(exitUsage, "%s requires no recipient", req.modeName())
	}
	switch req.mode {
	case modeSMTP:
		return t.proxy(ctx)
	case modeQueue:
		return t.printQueue(ctx)
	case modeAliases:
		return t.checkAliases(req.aliases)
	case modeFlush:
		return t.flushAsked(ctx, req)
	}
	return t.isRunning(ctx)
}

// modeName is the mode in the words of Postfix.
func (req *request) modeName() string {
	switch {
	case req.mode == modeSMTP:
		return "stand-alone mode"
	case req.mode == modeQueue:
		return "display queue mode"
	case req.mode == modeAliases:
		return "alias initialization mode"
	case req.mode == modeFlush && req.flushID != "":
		return "flush queue_id"
	case req.mode == modeFlush:
		return "flush queue mode"
	}
	return "daemon mode"
}

// flushAsked does what -q asks for.
func (t *tool) flushAsked(ctx context.Context, req *request) int {
	switch {
	case req.flushID != "":
		return t.flushID(ctx, req.flushID)
	case req.flushSite != "":
		return t.flushSite(ctx, req.flushSite)
	}
	return t.flush(ctx, everything)
}

// bareOptions gives "-q" without a value an empty one, and takes out the
// deprecated "-V" and "-o7", "-o8" forms of nothing.
func bareOptions(args []string) []string {
	out := make([]string, 0, len(args))
	for i, a := range args {
		if a == "--" || a == "" || a[0] != '-' {
			return append(out, args[i:]...)
		}
		if a == "-q" {
			a = "-qf"
		}
		out = append(out, a)
		if len(a) == 2 && strings.Contains(sendmailOptions, a[1:]+":") && i+1 < len(args) {
			return append(append(out, args[i+1]), bareOptions(args[i+2:])...)
		}
	}
	return out
}

// option takes one option in.
func (t *tool) option(req *request, o option) int {
	switch o.letter {
	case 'B':
		switch strings.ToUpper(o.value) {
		case string(smtp.Body8BitMIME):
			req.eightBit = true
		case string(smtp.Body7Bit):
		default:
			return t.fatal(exitUsage, "-B option needs 8BITMIME or 7BIT")
		}
	case 'C':
		t.configure(o.value)
	case 'F':
		req.fullName = o.value
	case 'f', 'r':
		req.from, req.hasFrom = o.value, true
	case 'N':
		req.notify = t.notify(o.value)
	case 'R':
		req.ret = t.ret(o.value)
	case 'V':
		req.envID = t.envelopeID(o.value)
	case 'b':
		return t.mode(req, o.value)
	case 'I':
		req.mode = modeAliases
	case 'i':
		req.dotEnds = false
	case 'o':
		switch {
		case o.value == "i":
			req.dotEnds = false
		case strings.HasPrefix(o.value, "A"):
			req.aliases = o.value[1:]
		}
	case 't':
		req.fromHeader = true
	case 'v':
		req.verbose = true
	case 'q':
		return t.queueOption(req, o.value)
	}
	return exitOK // the others change nothing here
}

func (t *tool) mode(req *request, mode string) int {
	switch mode {
	case "m", "s", "p", "i", "v":
		req.mode = mode[0]
	case "d", "l", "D":
		req.mode = modeDaemon
	default:
		return t.fatal(exitUsage, "unsupported: -b%s", mode)
	}
	return exitOK
}

// queueOption is -q: all of the queue, one message, one site. With a time it
// is how often a daemon does so, which mtad knows by itself.
func (t *tool) queueOption(req *request, value string) int {
	switch {
	case value == "f":
		req.mode = modeFlush
	case strings.HasPrefix(value, "I"):
		req.mode, req.flushID = modeFlush, value[1:]
	case strings.HasPrefix(value, "R"), strings.HasPrefix(value, "S"):
		req.mode, req.flushSite = modeFlush, value[1:]
	case value != "" && value[0] >= '0' && value[0] <= '9':
		req.mode = modeDaemon
	default:
		return t.fatal(exitUsage, "-q%c is not implemented", value[0])
	}
	return exitOK
}

// notify reads the value of -N: never, or some of the others. As in Postfix a
// bad value is no reason not to send.
func (t *tool) notify(value string) []smtp.DSNNotify {
	var list []smtp.DSNNotify
	for _, word := range strings.Split(strings.ToUpper(value), ",") {
		switch n := smtp.DSNNotify(strings.TrimSpace(word)); n {
		case smtp.DSNNotifyNever:
			if value != "" && !strings.Contains(value, ",") {
				return []smtp.DSNNotify{n}
			}
			t.warn("bad -N option value -- ignored")
			return nil
		case smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
			list = append(list, n)
		default:
			t.warn("bad -N option value -- ignored")
			return nil
		}
	}
	return list
}

func (t *tool) ret(value string) smtp.DSNReturn {
	switch r := smtp.DSNReturn(strings.ToUpper(value)); r {
	case smtp.DSNReturnFull, smtp.DSNReturnHeaders:
		return r
	}
	t.warn("bad -R option value -- ignored")
	return ""
}

// envelopeID reads the value of -V, which is xtext already or becomes it
// (RFC 3461 section 4.4). "-V" in front of an address is the VERP of old.
func (t *tool) envelopeID(value string) string {
	id, err := wire.ParseXtext(value)
	if err != nil {
		id = value
	}
	if len(wire.AppendXtext(nil, id)) > 100 || !printable(id) {
		t.warn("bad syntax in -V option value -- ignored")
		return ""
	}
	return id
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}

// deliver submits the message on standard input.
func (t *tool) deliver(ctx context.Context, req *request, args []string) int {
	set, err := t.settings()
	if err != nil {
		return t.fatal(exitTemporary, "%v", err)
	}
	login, fullName := t.User(t.UID)
	if req.fullName == "" {
		req.fullName = fullName
		if name := t.Getenv("NAME"); name != "" {
			req.fullName = name
		}
	}
	if req.sender, err = senderOf(req, login, set.Origin); err != nil {
		t.warn("-f option specified malformed sender: %s", req.from)
		req.sender = addr.Address{Local: login, Domain: set.Origin}
	}
	for _, a := range args {
		list, err := addresses(a, set.Origin)
		if err != nil {
			return t.fatal(exitData, "%s(%d): %v", login, t.UID, err)
		}
		req.rcpts = append(req.rcpts, list...)
	}
	if len(req.rcpts) == 0 && !req.fromHeader {
		return t.fatal(exitUsage, "%s(%d): Recipient addresses must be specified on the command line or via the -t option", login, t.UID)
	}
	if req.mode == modeVerify && !req.fromHeader {
		return t.verify(ctx, &req.letter)
	}
	if req.verbose && req.notify == nil && !req.sender.Null() {
		req.notify = []smtp.DSNNotify{smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}
		t.printf("Mail Delivery Status Report will be mailed to %s.\n", req.sender.Path())
	}
	msg, err := readMessage(t.Stdin, &req.letter, set.Origin)
	if err != nil {
		return t.fatal(exitData, "%s(%d): %v", login, t.UID, err)
	}
	if len(req.rcpts) == 0 {
		return t.fatal(exitData, "%s(%d): No recipient addresses found in message header", login, t.UID)
	}
	if req.mode == modeVerify {
		return t.verify(ctx, &req.letter)
	}
	return t.submit(ctx, set, &req.letter, msg)
}

// verify is -bv: nothing is sent, and the sender is told where mail would go.
func (t *tool) verify(ctx context.Context, l *letter) int {
	args := []string{l.sender.String()}
	for _, a := range l.unique() {
		args = append(args, a.String())
	}
	t.printf("Mail Delivery Status Report will be mailed to %s.\n", l.sender.Path())
	err := t.ask(ctx, false, verifying.VerbVerify, args, func(json.RawMessage) error { return nil })
	switch {
	case fail.Is(err, fail.Denied):
		return t.fatal(exitDenied, "%v", err)
	case fail.Is(err, fail.Invalid):
		return t.fatal(exitData, "%v", err)
	case err != nil:
		return t.fatal(exitTemporary, "mail system: %v", err)
	}
	return exitOK
}
