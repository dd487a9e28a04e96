package mailbox

import (
	"context"
	"io"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/store/index"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Format is one folder's storage: files and UIDs. What the flags are, which
// MODSEQ they have and who is told is the mailbox's business. Look, Open and
// Watch may be called by anybody at any time, the rest by one at a time.
type Format interface {
	// Ident reads what identifies the folder, making it when it is new.
	Ident(ctx context.Context) (Ident, error)
	// Look tells cheaply whether somebody may have changed the folder, or, with
	// onlyDirs, the directories that its messages are in.
	Look(onlyDirs bool) (index.Stamps, error)
	// Trusted is what the folder's list of UIDs looked like when nothing in it
	// was unknown. The mailbox keeps it across restarts.
	Trusted() *index.FileStamp
	// Lock keeps other programs from giving out UIDs and moving files.
	Lock(ctx context.Context) (Locked, error)
	// Open opens a message. A small one is read into mem, if there is one,
	// which is the File then. NotFound: its file has another name now, or none.
	Open(r Ref, mem *message.Memory) (File, time.Time, error)
	// Begin starts a new message.
	Begin() (Newborn, error)
	// Link starts a new message that is a copy of another folder's. It is nil
	// where only a copy of the bytes will do. A later copy may be made by
	// Publish only, whose error has maildir.ErrNotLinked in its chain then.
	Link(from Format, r Ref, later bool) (Newborn, error)
	// Watch has wake called after changes by others. Unavailable: poll.
	Watch(wake func()) (Watch, error)
}

// Locked is a folder whose lock is held.
type Locked interface {
	// List lists the messages: all, or only where new ones arrive.
	List(onlyNew bool) (Listing, error)
	// Assign returns a UID for each entry: the one it has, if that is at
	// least floor, else a new one above all others, in the order of entries.
	// Durable when it returns.
	// unseen are messages to which somebody else gave a UID of at least floor
	// and which are no entries: nothing is given out then, because a UID above
	// theirs would cost them their own. Look for them, and ask again with sure.
	Assign(entries []Entry, floor uint32, sure bool) (uids []uint32, unseen []string, err error)
	// Letters finds or makes letters for keywords. Those that got none are
	// returned in left.
	Letters(names []string) (l maildir.Letters, left []string, err error)
	// Rename makes the names of files say what infos say, durably. It returns
	// where they are now, without a File where there was none of that name;
	// after an error as many as are done.
	Rename(refs []Ref, infos []maildir.Info) ([]Ref, error)
	// Remove removes files, durably. It returns those of which there was none of
	// that name; somebody else may have renamed them.
	Remove(refs []Ref) (missed []Ref, err error)
	// Publish makes drafts messages with new UIDs of at least floor, durably;
	// all or, after an error, none.
	Publish(drafts []Newborn, infos []maildir.Info, floor uint32) ([]Entry, []uint32, error)
	// Compact drops UIDs that are not live from the list, where there are so
	// many that it pays. messages is the number of live ones.
	Compact(messages int, live func(uid uint32) bool) error
	Unlock() error
}

// Ident identifies a folder.
type Ident struct {
	UIDValidity uint32
	UIDNext     uint32 // at least
	GUID        string
	Used        bool // the folder has given out UIDs before
}

// Ref is where a message's file is.
type Ref struct {
	Base  string // the permanent part of the name
	File  string // the name
	InNew bool
}

// Entry is a message as a listing shows it.
type Entry struct {
	Ref
	Flags   Flags
	Letters maildir.Letters
	Odd     string // the name's text from ":" on, where it is not the usual one
}

// Listing is a look into the folder.
type Listing struct {
	Entries  []Entry
	New, Cur index.DirStamp // Cur only when all was listed
	Print    maildir.Print  // of a Format that is printed
}

func entryOf(file string, inNew bool) Entry {
	base, info := maildir.Split(file)
	e := Entry{Ref: Ref{Base: base, File: file, InNew: inNew}, Flags: info.Flags, Letters: info.Letters}
	if inNew && len(file) > len(base) || !inNew && !maildir.Usual(file) {
		e.Odd = file[len(base):]
	}
	return e
}

// usualFile is the name that a file has when nothing is odd about it.
func usualFile(base string, flags Flags, letters maildir.Letters, inNew bool) string {
	if inNew {
		return base
	}
	return maildir.Join(base, maildir.Info{Flags: flags, Letters: letters})
}

// refOf is where the file of a record is.
func refOf(r index.Record) Ref {
	ref := Ref{Base: r.Name, InNew: r.State&index.InNew != 0}
	if r.Info != "" {
		ref.File = r.Name + r.Info
	} else {
		ref.File = usualFile(r.Name, Flags(r.FileFlags), maildir.Letters(r.FileLetters), ref.InNew)
	}
	return ref
}

// Newborn is a message that is not published yet.
type Newborn interface {
	io.Writer
	// Size is the number of bytes as stored.
	Size() int64
	// Keep has Text be there until Abort.
	Keep()
	// Finish makes the bytes durable; date is the INTERNALDATE.
	Finish(date time.Time) error
	// Text is a finished message as it is stored; nil when it is not at hand.
	Text() []byte
	// Abort removes what was written or published; after Published it only
	// gives back what it holds.
	Abort()
	Published()
}

// Watch is a folder being watched.
type Watch interface {
	// Dirty reports where others made changes since the last call.
	Dirty() maildir.Dirt
	Close()
}

// keywordTable is an optional side of a Format: the names of keyword letters.
type keywordTable interface {
	Keywords() (maildir.Keywords, error)
}

// keywordKeeper is an optional side of a Locked: names that letters have lost
// are given back to them.
type keywordKeeper interface {
	RestoreKeywords(before *maildir.Keywords) error
}

// uidList is an optional side of a Format: a list of UIDs that knows more than
// Ident has cheaply, and that is written behind where names hold UIDs, too.
type uidList interface {
	// UIDNext is at least known and above every UID in the list, and after a
	// crash above every one that can have been given out since both were on
	// disk; no lower one is from now on.
	UIDNext(known uint32, crashed bool) (uint32, error)
	// Behind reports whether something written to the list may not be on disk.
	Behind() bool
	// SyncUIDs writes it there.
	SyncUIDs() error
}

// noteReader is an optional side of a Format: notes for POP3.
type noteReader interface {
	Notes() (map[uint32]maildir.Note, error)
}

// noteWriter is an optional side of a Locked.
type noteWriter interface {
	SetUIDLs(ids map[uint32]string) error
}

// assigner is an optional side of a Locked: Assign in two steps, what is known
// at once and what makes it durable, which is done while the lock is held and
// may run beside what does not touch the Format.
type assigner interface {
	assign(entries []Entry, floor uint32, sure bool) (uids []uint32, unseen []string, write func() error, err error)
}

// comparer is an optional side of a Locked: List of all, without the messages
// whose files are where an Image says, and which messages of it have none there.
// What is listed may be another file of a message that has. errors.ErrUnsupported:
// it is to be List.
type comparer interface {
	compare(im *index.Image) (out Listing, missing []int, err error)
}

// header is an optional side of a Format: it reads the beginning of a message
// into mem. plain: it is stored as it is.
type header interface {
	Head(r Ref, mem *message.Memory) (date time.Time, plain bool, err error)
}

// settler is an optional side of a Watch: when it returns nil, Dirty has all that
// shows in the mtimes of the folder's directories.
type settler interface {
	Settle() error
}

// namer is an optional side of a Locked: which of some files are there.
type namer interface {
	present(files []maildir.Named) ([]Entry, error)
}

// printed is an optional side of a Format: it remembers what was in the folder
// without knowing what that was, see maildir.Known.
type printed interface {
	// Keep says that the index has what a listing of this print showed.
	Keep(p maildir.Print, all bool)
	// Changed says that the index has one file in the place of another; either may
	// be none.
	Changed(from maildir.Place, old string, to maildir.Place, name string)
	// Forget: the index may not have what we did to the folder.
	Forget()
	// Unchanged reads the folder and reports whether the index has all of it.
	// Its lock is held.
	Unchanged() (bool, error)
}
