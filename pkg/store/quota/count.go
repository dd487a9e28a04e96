package quota

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/expand"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// maxExpanded is how many messages one count expands to learn their size.
// Compressed ones beyond that, which have no size in their name either, count
// as large as their files: Dovecot, which writes the size, makes none of them.
const maxExpanded = 1000

// counting is one count of all mail.
type counting struct {
	m        *Meter
	sum      Usage
	expanded int

	f      *maildir.Folder
	listed map[string]int64 // sizes by base name that the UID list has; nil: not read yet
}

// folder adds up one folder.
func (c *counting) folder(ctx context.Context, f *maildir.Folder) error {
	c.f, c.listed = f, nil
	for _, place := range []maildir.Place{maildir.InNew, maildir.InCur} {
		entries, err := c.m.o.FS.ReadDir(filepath.Join(f.Dir(), place.Dir()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the folder was deleted meanwhile
		}
		if err != nil {
			return fail.Wrap(fail.Temporary, err, "counting the mail of folder %s", f.Name())
		}
		for _, e := range entries {
			if e.Name()[0] == '.' {
				continue
			}
			if err := ctx.Err(); err != nil {
				return fail.Wrap(fail.Temporary, err, "counting the mail of folder %s", f.Name())
			}
			// What was renamed or removed meanwhile the next count has right.
			if size, ok := c.size(place, e.Name()); ok {
				c.sum.Bytes, c.sum.Messages = add(c.sum.Bytes, size), add(c.sum.Messages, 1)
			}
		}
	}
	return nil
}

// size is the message's, not the file's: by S= in the name, else by the UID
// list, else by the file, which may be compressed. ok is false when it is gone.
func (c *counting) size(place maildir.Place, name string) (size int64, ok bool) {
	base, _ := maildir.Split(name)
	if size, _ := maildir.Sizes(base); size >= 0 {
		return size, true
	}
	if c.listed == nil {
		c.listed = map[string]int64{}
		if list, err := c.f.UIDList(); err == nil { // without it the files tell
			for _, r := range list.Records {
				if n := r.Size(); n >= 0 {
					c.listed[r.Base] = n
				}
			}
		}
	}
	if size, ok := c.listed[base]; ok {
		return size, true
	}
	msg, err := c.f.OpenMessage(place, name)
	if err != nil {
		return c.stored(place, name)
	}
	defer msg.Close()
	if c.expanded < maxExpanded {
		if size, err := expand.Size(msg, expand.Options{}); err == nil {
			if size != msg.Size() {
				c.expanded++
			}
			return size, true
		}
		c.expanded++ // damaged, which is found out at the end only
	}
	return msg.Size(), true
}

// stored is the size of a file that cannot be opened.
func (c *counting) stored(place maildir.Place, name string) (size int64, ok bool) {
	info, err := c.m.o.FS.Stat(filepath.Join(c.f.Dir(), place.Dir(), name))
	if err != nil {
		return 0, false
	}
	return info.Size(), true
}
