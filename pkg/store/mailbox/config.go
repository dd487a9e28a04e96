package mailbox

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Mode says who else may write the mail store at the same time.
type Mode uint8

// The two modes of docs/formats/index.md.
const (
	// Exclusive: this process and deliverd only. Flag changes are durable in
	// our log when acknowledged and reach file names within two seconds.
	Exclusive Mode = iota
	// Shared: Dovecot, mutt or another program writes too. Each change locks
	// the UID list and renames files before it is acknowledged.
	Shared
)

// Config is what a Store needs. Zero fields have working defaults.
type Config struct {
	FS        disk.FS // nil means disk.OS()
	IndexRoot string  // our own tree; must not lie inside a Maildir
	Now       func() time.Time
	Host      string // in file names; empty means the machine's name
	Log       *obs.Logger
	Poll      time.Duration // how often to look where inotify is blind; 0 means 5 s
	FlushIn   time.Duration // write-behind delay; 0 means 1 s (the promise is 2 s)
	Linger    time.Duration // how long an account without sessions stays open; 0 means 30 s
	NoWatch   bool          // never use inotify
}

// AccountConfig describes one user's mail.
type AccountConfig struct {
	User      string // the name authd gave; also names the index folder
	Maildir   string // root of the Maildir++ tree, absolute
	Mode      Mode
	Separator byte // hierarchy separator; 0 means '.'
	Folders   []FolderConfig
}

// FolderConfig is a folder that an account should have.
type FolderConfig struct {
	Name       string
	SpecialUse string // "\\Sent" …, or empty
	Auto       Auto
}

// Auto says what happens to a configured folder at first login.
type Auto uint8

// Values of Auto.
const (
	AutoNo Auto = iota
	AutoCreate
	AutoSubscribe // create and subscribe
)

// DefaultFolders are Drafts, Sent, Junk, Trash and Archive with their special
// uses and the given Auto.
func DefaultFolders(auto Auto) []FolderConfig {
	return []FolderConfig{
		{Name: "Drafts", SpecialUse: `\Drafts`, Auto: auto},
		{Name: "Sent", SpecialUse: `\Sent`, Auto: auto},
		{Name: "Junk", SpecialUse: `\Junk`, Auto: auto},
		{Name: "Trash", SpecialUse: `\Trash`, Auto: auto},
		{Name: "Archive", SpecialUse: `\Archive`, Auto: auto},
	}
}
