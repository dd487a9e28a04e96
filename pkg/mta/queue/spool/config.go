package spool

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is what Open needs; all fields but Warn are required.
type Config struct {
	FS     disk.FS
	Dir    string
	Now    func() time.Time
	Large  int64 // bodies above this have a file of their own; at most 16 MiB
	Budget int64 // bytes of bodies in memory at a time, roughly

	SegmentSize int64 // a segment is sealed when it is longer
	MinFree     int64 // see Room
	Zero        bool  // overwrite files before they are removed
	FreeKept    int   // free segments that are kept for use; the others are deleted
	LogSize     int64 // a checkpoint is made when the state log is longer than this and than the checkpoint

	Warn func(error) // told of trouble that no caller sees, such as damage; may be nil
}

func (c *Config) warn(err error) {
	if c.Warn != nil && err != nil {
		c.Warn(err)
	}
}

const (
	segmentDir = "segments"
	stateDir   = "state"
	largeDir   = "large"
	damagedDir = "damaged"
	lockName   = "lock"

	segmentPrefix    = "segment-"
	logPrefix        = "log-"
	checkpointPrefix = "checkpoint-"

	filePerm = 0o600
	dirPerm  = 0o700
)

func (c *Config) dir(name string) string { return filepath.Join(c.Dir, name) }

func (c *Config) segmentFile(num uint64) string {
	return filepath.Join(c.Dir, segmentDir, fmt.Sprintf("%s%010d", segmentPrefix, num))
}

func (c *Config) logFile(gen uint64) string {
	return filepath.Join(c.Dir, stateDir, fmt.Sprintf("%s%010d", logPrefix, gen))
}

func (c *Config) checkpointFile(gen uint64) string {
	return filepath.Join(c.Dir, stateDir, fmt.Sprintf("%s%010d", checkpointPrefix, gen))
}

func (c *Config) largeFile(id item.ID) string {
	return filepath.Join(c.Dir, largeDir, id.String())
}

// numbered reads the number of a file name with a prefix.
func numbered(name, prefix string) (uint64, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	if !ok || len(digits) < 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return n, err == nil && n > 0
}

// Damage is a stretch of a file that does not hold what it must. It is in the
// chain of an error of kind fail.Corrupt.
type Damage struct {
	File   string
	Offset int64
	Length int64 // 0 when unknown
	What   string
	Saved  string // where the bytes were put aside, "" if they were not
}

func (d *Damage) Error() string {
	text := fmt.Sprintf("%s: offset %d: %s", d.File, d.Offset, d.What)
	if d.Length > 0 {
		text = fmt.Sprintf("%s: offset %d, %d bytes: %s", d.File, d.Offset, d.Length, d.What)
	}
	if d.Saved != "" {
		text += " (kept as " + d.Saved + ")"
	}
	return text
}

func corrupt(d *Damage) error { return fail.Wrap(fail.Corrupt, d, "queue") }

// diskErr gives an error of the disk its kind: Full or Temporary.
func diskErr(err error, format string, args ...any) error {
	kind := fail.Temporary
	if disk.IsFull(err) || fail.Is(err, fail.Full) {
		kind = fail.Full
	}
	return fail.Wrap(kind, err, format, args...)
}
