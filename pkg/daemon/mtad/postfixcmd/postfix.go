package postfixcmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const postfixOptions = "c:Dv"

const postfixUsage = "usage: postfix [-c config_dir] [-Dv] start | stop | reload | abort | flush | check | status | start-fg | upgrade-configuration | set-permissions | logrotate"

// postfix is postfix(1), as far as scripts and packages call it: what is
// about a running mail system goes to mtad, and what is about starting it is
// for the unit.
func (t *tool) postfix(ctx context.Context, args []string) int {
	opts, words, bad := getopt(args, postfixOptions)
	if bad != 0 {
		t.badOption(postfixOptions, bad)
	}
	if bad != 0 || len(words) == 0 {
		return t.fatal(exitError, "%s", postfixUsage)
	}
	for _, o := range opts {
		if o.letter == 'c' {
			t.configure(o.value)
		}
	}
	switch words[0] {
	case "status":
		return t.running(ctx)
	case "reload", "logrotate":
		return t.reload(ctx)
	case "flush":
		return t.flush(ctx, everything)
	case "check":
		return t.check()
	case "upgrade-configuration", "set-permissions":
		return exitOK // there is nothing that could need it
	case "start", "start-fg":
		if t.up(ctx) {
			return t.script(exitError, "fatal: the Postfix mail system is already running")
		}
		return t.script(exitError, "fatal: start mtad by its unit: systemctl start mtad")
	case "stop", "abort":
		if !t.up(ctx) {
			return t.script(exitError, "fatal: the Postfix mail system is not running")
		}
		return t.script(exitError, "fatal: stop mtad by its unit: systemctl stop mtad")
	}
	return t.fatal(exitError, "unknown command: '%s'. %s", words[0], postfixUsage)
}

// script says a line as the script behind postfix(1) does.
func (t *tool) script(code int, text string) int {
	fmt.Fprintf(t.Stderr, "postfix/postfix-script: %s\n", oneLine(text))
	return code
}

// up reports whether mtad answers.
func (t *tool) up(ctx context.Context) bool {
	c, err := t.asker(ctx, false)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func (t *tool) running(ctx context.Context) int {
	var answer struct {
		PID int `json:"pid"`
	}
	err := t.ask(ctx, true, "STATUS", nil, func(raw json.RawMessage) error { return json.Unmarshal(raw, &answer) })
	switch {
	case err == nil && answer.PID > 0:
		return t.script(exitOK, fmt.Sprintf("the Postfix mail system is running: PID: %d", answer.PID))
	case err == nil, t.up(ctx):
		return t.script(exitOK, "the Postfix mail system is running")
	}
	return t.script(exitError, "the Postfix mail system is not running")
}

func (t *tool) reload(ctx context.Context) int {
	t.script(exitOK, "refreshing the Postfix mail system")
	err := t.ask(ctx, true, "RELOAD", nil, func(json.RawMessage) error { return nil })
	switch {
	case err == nil:
		return exitOK
	case fail.Is(err, fail.Denied):
		return t.script(exitError, "fatal: use of this command is reserved for the superuser")
	case !t.up(ctx):
		return t.script(exitError, "fatal: the Postfix mail system is not running")
	}
	return t.script(exitError, "fatal: "+err.Error())
}

// check reads the configuration; without a word when it is fine.
func (t *tool) check() int {
	file, _ := t.configFile()
	if _, err := t.Settings(file, true); err != nil {
		return t.fatal(exitError, "%s: %v", file, err)
	}
	return exitOK
}
