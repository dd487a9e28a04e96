package postfixcmd

import (
	"context"
	"strings"

	"github.com/postcote/postcote/pkg/mta/rewrite/aliases"
	"github.com/postcote/postcote/pkg/platform/disk"
)

const maxAliases = 64 << 20

// newaliases is newaliases(1): sendmail in another mode.
func (t *tool) newaliases(ctx context.Context, args []string) int {
	return t.sendmailAs(ctx, modeAliases, args)
}

// checkAliases looks for mistakes in the files of aliases that are configured,
// or in the one that is named; mtad reads their text, so they need not be
// built.
func (t *tool) checkAliases(named string) int {
	files := []string{named}
	if named == "" {
		set, err := t.settings()
		if err != nil {
			return t.fatal(exitUnavailable, "%v", err)
		}
		files = set.Aliases
	}
	for _, file := range files {
		if i := strings.IndexByte(file, ':'); i >= 0 {
			file = file[i+1:]
		}
		text, err := disk.ReadFile(t.FS, file, maxAliases)
		if err != nil {
			return t.fatal(exitUnavailable, "%v", err)
		}
		_, problems := aliases.Parse(text)
		for _, p := range problems {
			t.warn("%s, line %d: %s", file, p.Line, p.Text)
		}
	}
	return exitOK
}
