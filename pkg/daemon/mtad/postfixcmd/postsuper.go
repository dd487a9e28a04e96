package postfixcmd

import (
	"bufio"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const postsuperOptions = "c:d:e:f:h:H:pr:sSv"

const postsuperUsage = "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] " +
	"[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] " +
	"[-S (redundant structure fix)][-v (verbose)] [queue...]"

// action is one of the changes of postsuper, in the order in which they are made.
type action struct {
	letter byte
	verb   string
	each   string // said of every message that was named
	sum    string
	queues []string // that are looked into if none is named
}

// actions are those of one option each. -f is two, so that it tells, as
// Postfix does, how many messages were expired and how many were on hold.
func actions() []action {
	release := action{'H', queuecmd.VerbRelease, "released from hold", "Released from hold", []string{"hold"}}
	expire := action{'e', queuecmd.VerbExpireHeld, "expired", "Force-expired", nil}
	forced, freed := expire, release
	forced.letter, freed.letter = 'f', 'f'
	return []action{
		{'d', queuecmd.VerbDelete, "removed", "Deleted", nil},
		expire, forced, freed,
		{'h', queuecmd.VerbHold, "placed on hold", "Placed on hold", []string{"incoming", "active", "deferred"}},
		release,
		{'r', queuecmd.VerbRequeue, "requeued", "Requeued", nil},
	}
}

// postsuper is postsuper(1). What it does to the files of the queue (-p, -s,
// -S) is not needed here: mtad does it when it starts.
func (t *tool) postsuper(ctx context.Context, args []string) int {
	opts, queues, bad := getopt(args, postsuperOptions)
	if bad != 0 {
		t.badOption(postsuperOptions, bad)
		return t.fatal(exitError, "%s", postsuperUsage)
	}
	named := map[byte][]string{}
	for _, o := range opts {
		switch o.letter {
		case 'c':
			t.configure(o.value)
		case 'd', 'e', 'f', 'h', 'H', 'r':
			if o.value == "-" {
				named[o.letter] = append(named[o.letter], t.idsFromInput()...)
			} else {
				named[o.letter] = append(named[o.letter], o.value)
			}
		}
	}
	for _, q := range queues {
		if !slices.Contains([]string{"maildrop", "incoming", "active", "deferred", "hold", "corrupt"}, q) {
			return t.fatal(exitError, "invalid directory name: %s", q)
		}
	}
	for _, a := range actions() {
		if ids, ok := named[a.letter]; ok {
			if code := t.change(ctx, a, ids, queues); code != exitOK {
				return code
			}
		}
	}
	return exitOK
}

// idsFromInput reads one queue id from each line.
func (t *tool) idsFromInput() []string {
	var ids []string
	in := bufio.NewScanner(t.Stdin)
	for in.Scan() {
		if id := strings.TrimSpace(in.Text()); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// idsAtOnce keeps a request below the limits of a control line.
const idsAtOnce = 900

func (t *tool) change(ctx context.Context, a action, ids, queues []string) int {
	total := 0
	if slices.Contains(ids, "ALL") {
		ids = []string{"ALL"}
	} else {
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			if !queuecmd.IsID(id) {
				t.warn("invalid mail queue id: %s", id)
			}
			return !queuecmd.IsID(id)
		})
	}
	for len(ids) > 0 {
		n := min(len(ids), idsAtOnce)
		request := append(ids[:n:n], a.states(queues)...)
		ids = ids[n:]
		err := t.ask(ctx, true, a.verb, request, func(raw json.RawMessage) error {
			var c queuecmd.Changed
			err := json.Unmarshal(raw, &c)
			total += c.Changed
			for _, id := range c.IDs {
				t.say("%s: %s", id, a.each)
			}
			return err
		})
		switch {
		case err == nil, fail.Is(err, fail.NotFound): // as if nothing had been asked
		case fail.Is(err, fail.Denied):
			return t.fatal(exitError, "use of this command is reserved for the superuser")
		default:
			return t.fatal(exitError, "%v", err)
		}
	}
	plural := "s"
	if total == 1 {
		plural = ""
	}
	t.say("%s: %d message%s", a.sum, total, plural)
	return exitOK
}

// states limit a request to queues.
func (a action) states(queues []string) []string {
	if len(queues) == 0 {
		queues = a.queues
	}
	var args []string
	for _, q := range queues {
		switch q {
		case "maildrop", "corrupt": // never hold anything
			q = "incoming"
		}
		args = append(args, "state="+q)
	}
	return args
}
