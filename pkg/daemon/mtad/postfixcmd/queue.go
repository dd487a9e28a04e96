package postfixcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/control"
)

// asker connects to mtad; the first socket that answers is taken.
func (t *tool) asker(ctx context.Context, admin bool) (*control.Client, error) {
	set, err := t.settings()
	if err != nil {
		return nil, err
	}
	sockets := []string{set.Status, set.Control}
	if admin {
		sockets = []string{set.Control, set.Status}
	}
	var first error
	for _, path := range sockets {
		if path == "" {
			continue
		}
		c, err := control.Dial(ctx, path)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fail.New(fail.Unavailable, "no status socket is configured")
	}
	return nil, first
}

// ask sends one request and hands over every value of the answer.
func (t *tool) ask(ctx context.Context, admin bool, verb string, args []string, fn func(json.RawMessage) error) error {
	c, err := t.asker(ctx, admin)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Each(ctx, verb, args, fn)
}

// mailq is mailq(1): sendmail in another mode, which its options may change.
func (t *tool) mailq(ctx context.Context, args []string) int {
	return t.sendmailAs(ctx, modeQueue, args)
}

func (t *tool) printQueue(ctx context.Context) int { return t.report(ctx, queuecmd.AsMailq) }

// report prints the queue in a form that mtad makes.
func (t *tool) report(ctx context.Context, form string) int {
	out := bufio.NewWriterSize(t.Stdout, blockSize)
	var text []byte
	err := t.ask(ctx, false, queuecmd.VerbList, []string{form}, func(raw json.RawMessage) error {
		var err error
		if text, err = queuecmd.AppendText(text[:0], raw); err == nil {
			_, err = out.Write(text)
		}
		return err
	})
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	switch {
	case err == nil:
		return exitOK
	case fail.Is(err, fail.Denied):
		return t.fatal(exitUnavailable, "User %s(%d) is not allowed to view the mail queue", t.login(), t.UID)
	}
	return t.fatal(exitUnavailable, "Queue report unavailable - mail system is down (%v)", err)
}

const postqueueOptions = "c:fi:jps:v"

// everything stands for all messages, in requests and on command lines.
const everything = "ALL"

const postqueueUsage = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"

// postqueue is postqueue(1).
func (t *tool) postqueue(ctx context.Context, args []string) int {
	opts, rest, bad := getopt(args, postqueueOptions)
	if bad != 0 {
		t.badOption(postqueueOptions, bad)
	}
	if bad != 0 || len(rest) > 0 {
		return t.fatal(exitUnavailable, "%s", postqueueUsage)
	}
	var mode option
	for _, o := range opts {
		switch o.letter {
		case 'c':
			t.configure(o.value)
		case 'v':
		default:
			if mode.letter != 0 {
				return t.fatal(exitUnavailable, "%s", postqueueUsage)
			}
			mode = o
		}
	}
	switch mode.letter {
	case 'f':
		return t.flush(ctx, everything)
	case 'i':
		return t.flushID(ctx, mode.value)
	case 's':
		return t.flushSite(ctx, mode.value)
	case 'j':
		return t.report(ctx, queuecmd.AsPostqueue)
	case 'p':
		return t.printQueue(ctx)
	}
	return t.fatal(exitUnavailable, "%s", postqueueUsage)
}

// flushID tries one message now. As in Postfix it is no error that the message
// has gone: it may have been delivered since its id was read.
func (t *tool) flushID(ctx context.Context, id string) int {
	if !queuecmd.IsID(id) {
		return t.fatal(exitUnavailable, "Cannot flush queue ID - invalid name: \"%.100s\"", id)
	}
	return t.flush(ctx, id)
}

// flushSite tries the mail for one domain now.
func (t *tool) flushSite(ctx context.Context, site string) int {
	if _, err := addr.Domain(site); err != nil {
		return t.fatal(exitUnavailable, "Cannot flush mail queue - invalid destination: \"%.100s\"", site)
	}
	return t.flush(ctx, "destination="+site)
}

// flush tries the messages that what selects, for the verb of that name.
func (t *tool) flush(ctx context.Context, what string) int {
	err := t.ask(ctx, false, queuecmd.VerbFlush, []string{what}, func(json.RawMessage) error { return nil })
	switch {
	case err == nil:
		return exitOK
	case fail.Is(err, fail.Denied):
		return t.fatal(exitUnavailable, "User %s(%d) is not allowed to flush the mail queue", t.login(), t.UID)
	case fail.Is(err, fail.NotFound):
		t.warn("not in the queue: %.100s", what)
		return exitOK
	}
	return t.fatal(exitUnavailable, "Cannot flush mail queue - mail system is down (%v)", err)
}

const postkickUsage = "usage: postkick [-c config_dir] [-v] class service request"

// kicked are the services that can be asked to do something.
var kicked = []string{
	"public/pickup", "public/cleanup", "public/qmgr", "public/flush", "public/showq", "public/postlog",
	"private/anvil", "private/bounce", "private/defer", "private/discard", "private/error", "private/lmtp", "private/local", "private/proxymap",
	"private/proxywrite", "private/relay", "private/retry", "private/rewrite", "private/scache", "private/smtp", "private/tlsmgr",
	"private/trace", "private/verify", "private/virtual",
}

// postkick is postkick(1). Of what the services of Postfix are asked for one
// thing is left to do: that the queue manager tries all that waits (A). New and
// due mail needs no wake-up here.
func (t *tool) postkick(ctx context.Context, args []string) int {
	opts, words, bad := getopt(args, "c:v")
	if bad != 0 {
		t.badOption("c:v", bad)
	}
	if bad != 0 || len(words) != 3 {
		return t.fatal(exitError, "%s", postkickUsage)
	}
	for _, o := range opts {
		if o.letter == 'c' {
			t.configure(o.value)
		}
	}
	service := words[0] + "/" + words[1]
	known := slices.Contains(kicked, service)
	if !known {
		t.warn("unable to look up %s: No such file or directory", service)
	}
	if !known || !t.up(ctx) {
		t.warn("Cannot contact class %s service %s - perhaps the mail system is down", words[0], words[1])
		return exitError
	}
	if service == "public/qmgr" && strings.Contains(words[2], "A") {
		return t.flush(ctx, everything)
	}
	return exitOK
}
