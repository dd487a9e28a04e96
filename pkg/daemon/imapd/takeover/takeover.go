package takeover

import (
	"context"
	"io/fs"
	"os"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// The modes of mail (docs/architecture.md).
const (
	DirMode  = os.ModeSetgid | 0o770
	FileMode = os.FileMode(0o660)
)

// Options say what is wanted.
type Options struct {
	UID, GID int   // new owner and group; -1: as it is
	Known    []int // further users whose files may be in the tree: the daemons'
	Apply    bool  // change it; otherwise only tell what would be changed
	// Progress, if set, is told how many files have been looked at.
	Progress func(done int64)
}

// Report is what was found in one user's tree, and what was or would be done.
type Report struct {
	User    string `json:"user,omitempty"`
	Maildir string `json:"maildir"`
	Applied bool   `json:"applied"`

	Folders  int `json:"folders"`
	Messages int `json:"messages"`
	// What has another mode, owner or group than it should.
	DirModes  int `json:"dir_modes"`
	FileModes int `json:"file_modes"`
	Owners    int `json:"owners"`
	Groups    int `json:"groups"`

	HighestModSeq uint64 `json:"dovecot_highestmodseq"` // the highest of any folder; 0: none known

	Notes    []string `json:"notes"`    // what an operator should know
	Problems []string `json:"problems"` // what stands in the way
	More     int      `json:"more,omitempty"`

	lacking int // messages without sizes in their names
}

// Changes is how many changes there are.
func (r *Report) Changes() int { return r.DirModes + r.FileModes + r.Owners + r.Groups }

// maxTold caps notes and problems each.
const maxTold = 50

func (r *Report) note(text string) { r.tell(&r.Notes, text) }

func (r *Report) problem(text string) { r.tell(&r.Problems, text) }

func (r *Report) tell(list *[]string, text string) {
	if len(*list) == maxTold {
		r.More++
		return
	}
	*list = append(*list, text)
}

// Run looks at the Maildir tree below maildir and, with Apply, takes it over.
// It may be run again: what is right stays as it is.
func Run(ctx context.Context, maildir string, o Options) (*Report, error) {
	r := &Report{Maildir: maildir, Applied: o.Apply, Notes: []string{}, Problems: []string{}}
	info, err := os.Lstat(maildir)
	switch {
	case err != nil:
		return nil, fail.Wrap(fail.NotFound, err, "Maildir")
	case info.Mode()&fs.ModeSymlink != 0 || !info.IsDir():
		return nil, fail.New(fail.Invalid, "%s is no directory (a symbolic link is not followed; name what it points to)", maildir)
	}
	root, err := os.OpenRoot(maildir)
	if err != nil {
		return nil, fail.Wrap(fail.Denied, err, "Maildir")
	}
	defer root.Close()
	w := &walk{root: root, opt: o, rep: r, dir: maildir}
	if err := w.tree(ctx, info); err != nil {
		return nil, err
	}
	w.formats()
	return r, nil
}
