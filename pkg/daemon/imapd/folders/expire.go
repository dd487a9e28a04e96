package folders

import (
	"context"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// patience is how many messages in a row may be too young before the rest,
// which came later still, is taken to be so. Not the first: where only the
// file can tell, a change of flags makes a message look younger than it is.
const patience = 100

// Expiring are the folders in which messages are removed by age or number.
func Expiring(list []Folder) []Folder {
	var out []Folder
	for _, f := range list {
		if f.AutoExpunge > 0 || f.MaxMessages > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Expire removes what is due in a folder and returns how many messages that
// were. A user who does not have the folder has nothing to lose in it.
func (f Folder) Expire(ctx context.Context, a *mailbox.Account, now time.Time) (int, error) {
	st, err := a.Status(ctx, f.Name, false)
	if fail.Is(err, fail.NotFound) || err == nil && st.Messages == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	m, err := a.Open(ctx, f.Name)
	if err != nil {
		return 0, err
	}
	defer m.Close()
	due, err := f.due(ctx, m, now)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	gone, err := m.Remove(ctx, mailbox.SetOf(due...))
	n := 0
	for _, r := range gone {
		n += int(r.Last-r.First) + 1
	}
	return n, err
}

// due lists messages in the order of their UIDs, which is that of their coming.
func (f Folder) due(ctx context.Context, m *mailbox.Mailbox, now time.Time) ([]uint32, error) {
	s := m.Snapshot()
	var due []uint32
	surplus := 0
	if f.MaxMessages > 0 {
		surplus = s.Len() - f.MaxMessages
	}
	young := 0
	for i := range s.Len() {
		uid := s.UID(i)
		if i < surplus {
			due = append(due, uid)
			continue
		}
		if f.AutoExpunge <= 0 || young == patience {
			break
		}
		at, err := savedAt(ctx, m, s, i)
		switch {
		case fail.Is(err, fail.NotFound):
			continue
		case err != nil:
			return nil, err
		case at.IsZero() || now.Sub(at) < f.AutoExpunge.Std():
			young++
			continue
		}
		young = 0
		due = append(due, uid)
	}
	return due, nil
}

// savedAt is the save date of message i, as SAVEDATE shows it. Of a message of
// which nobody knows it, it is the last change of its file, which may be
// something later. Zero where nothing is known.
func savedAt(ctx context.Context, m *mailbox.Mailbox, s *mailbox.Snapshot, i int) (time.Time, error) {
	if at := s.SavedAt(i); !at.IsZero() {
		return at, nil
	}
	return m.FileChanged(ctx, s.UID(i))
}
