package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Damage is stored data that does not check. It comes wrapped in an error of
// kind Corrupt.
type Damage struct {
	File   string
	Offset int64
	What   string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s: offset %d: %s", d.File, d.Offset, d.What)
}

func damage(file string, off int64, format string, args ...any) error {
	return fail.Wrap(fail.Corrupt, &Damage{file, off, fmt.Sprintf(format, args...)}, "")
}

// errBadOp is found in a frame whose checksum is good: a writer of a later
// version, or an enemy.
var errBadOp = errors.New("an operation that makes no sense")

// A log is a header and frames. Both are multiples of 8 bytes, so that frames
// behind a damaged one can be found.
//
//	header: "PCIXLOG\x01" | seq 8 | epoch 8 | crc 4 | 0 4
//	frame:  "PCF\x01" | payload length 4 | crc 4 | 0 4 | synced 8 | payload | zeros
//
// synced is the offset up to which the log was known to be on disk when the
// frame was written. It tells what a crash may leave (bad bytes behind all
// that was synced) from damage (bad bytes before it).
const (
	logMagic    = "PCIXLOG\x01"
	logHeader   = 32
	frameMagic  = "PCF\x01"
	frameHeader = 24
	maxFrame    = 1 << 30
)

func appendLogHeader(dst []byte, seq, epoch uint64) []byte {
	start := len(dst)
	dst = append(dst, logMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint64(dst, epoch)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	return append(dst, 0, 0, 0, 0)
}

func readLogHeader(file string, b []byte) (seq, epoch uint64, err error) {
	if len(b) < logHeader || string(b[:8]) != logMagic {
		return 0, 0, damage(file, 0, "no log of this version")
	}
	if crc32.Checksum(b[:24], castagnoli) != binary.LittleEndian.Uint32(b[24:]) {
		return 0, 0, damage(file, 0, "checksum of the header")
	}
	return binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), nil
}

func appendFrame(dst, payload []byte, synced int64) []byte {
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(synced))
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[start+8:], frameSum(dst[start:]))
	for (len(dst)-start)%8 != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// frameSum covers the length, what was synced, and the payload.
func frameSum(f []byte) uint32 {
	sum := crc32.Checksum(f[4:8], castagnoli)
	return crc32.Update(sum, castagnoli, f[16:])
}

// readFrame reads the frame at off. ok is false when there is no whole one.
func readFrame(log []byte, off int64) (payload []byte, synced, next int64, ok bool) {
	if off < 0 || off > int64(len(log))-frameHeader {
		return nil, 0, 0, false
	}
	f := log[off:]
	n := int64(binary.LittleEndian.Uint32(f[4:]))
	if string(f[:4]) != frameMagic || n > maxFrame || n > int64(len(f))-frameHeader {
		return nil, 0, 0, false
	}
	if frameSum(f[:frameHeader+n]) != binary.LittleEndian.Uint32(f[8:]) {
		return nil, 0, 0, false
	}
	next = min(off+(frameHeader+n+7)/8*8, int64(len(log)))
	return f[frameHeader : frameHeader+n], int64(binary.LittleEndian.Uint64(f[16:])), next, true
}

// nextFrame finds a whole frame behind off.
func nextFrame(log []byte, off int64) (int64, bool) {
	for off = off/8*8 + 8; off < int64(len(log)); off += 8 {
		i := bytes.Index(log[off:], []byte(frameMagic))
		if i < 0 {
			return 0, false
		}
		off += int64(i) / 8 * 8
		if _, _, _, ok := readFrame(log, off); ok {
			return off, true
		}
	}
	return 0, false
}

// readFrames calls use for the payloads of a log in order and returns where
// the good part ends. A bad frame before something that is known to have been
// synced is damage.
func readFrames(file string, log []byte, use func(payload []byte, off int64) error) (end int64, err error) {
	end = logHeader
	for {
		payload, _, next, ok := readFrame(log, end)
		if !ok {
			break
		}
		if err := use(payload, end); err != nil {
			return end, err
		}
		end = next
	}
	for at, ok := nextFrame(log, end); ok; at, ok = nextFrame(log, at) {
		if _, synced, _, _ := readFrame(log, at); synced > end {
			return end, damage(file, end, "a frame that was synced does not check")
		}
	}
	return end, nil
}
