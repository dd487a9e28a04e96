package cache

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/collate"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// The columns, in the order they are stored.
const (
	colUID = iota
	colSent
	colSubject
	colFrom
	colTo
	colCc
	colMessageID
	colKeys
	numColumns
)

// textColumns are the header fields of the columns that are searched, by
// column.
func textColumns() [numColumns]string {
	return [numColumns]string{colSubject: "Subject", colFrom: "From", colTo: "To", colCc: "Cc", colMessageID: "Message-ID"}
}

// columnOf is the column of a header field, or 0.
func columnOf(name string) int {
	for col, field := range textColumns() {
		if field != "" && strings.EqualFold(name, field) {
			return col
		}
	}
	return 0
}

// row is what the columns say of one message.
type row struct {
	uid  uint32
	sent int64
	text [numColumns][]byte // of the text columns and colKeys
}

// maxText caps one value: a message with more is in no column and is asked
// itself.
const maxText = 32 << 10

// noSent is the sent of a message without a Date that can be read.
const noSent = math.MinInt64

// packSent keeps a date with its zone: SENTSINCE compares the day that stands
// in the message, SORT the moment.
func packSent(t time.Time) int64 {
	_, off := t.Zone()
	return t.Unix()<<12 | int64(off/60+2048)&0xfff
}

func sentUnix(s int64) int64 { return s >> 12 }

// sentLocal is what the message's clock showed, in seconds since 1970.
func sentLocal(s int64) int64 { return s>>12 + (s&0xfff-2048)*60 }

// makeRow takes a row from a header that has all the fields it needs. room is
// scratch space. false: the message is too odd for columns.
func makeRow(uid uint32, h message.Header, room *[]byte) (row, bool) {
	r := row{uid: uid, sent: noSent}
	all := (*room)[:0]
	var ends [numColumns]int
	for col, name := range textColumns() {
		start := len(all)
		if name != "" {
			for f := range h.All(name) {
				if len(all) > start {
					all = append(all, '\n')
				}
				all = collate.Append(all, message.DecodeWords(f.Value()))
				if len(all)-start > maxText {
					return r, false
				}
			}
		}
		ends[col] = len(all)
	}
	k := digest.KeysOf(h)
	if !k.Sent.IsZero() {
		r.sent = packSent(k.Sent)
	}
	*room = appendKeys(all, &k)
	all = slices.Clone(*room)
	ends[colKeys] = len(all)
	for col, start := colSubject, 0; col < numColumns; col++ {
		r.text[col] = all[start:ends[col]:ends[col]]
		start = ends[col]
	}
	return r, true
}

// KeyFields are the header fields from which all columns come, those of
// digest.KeysOf among them.
func KeyFields() []string {
	return []string{"Subject", "From", "To", "Cc", "Message-ID", "Date", "References", "In-Reply-To"}
}

// appendKeys adds the keys but the date: 1 for a reply or 0, the strings with
// their lengths, the id 8, the number of references, 8 bytes each.
func appendKeys(dst []byte, k *digest.Keys) []byte {
	b := byte(0)
	if k.Reply {
		b = 1
	}
	dst = append(dst, b)
	for _, s := range [...]string{k.Subject, k.From, k.To, k.Cc, k.DisplayFrom, k.DisplayTo} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	dst = binary.LittleEndian.AppendUint64(dst, k.MessageID)
	dst = binary.AppendUvarint(dst, uint64(len(k.References)))
	for _, r := range k.References {
		dst = binary.LittleEndian.AppendUint64(dst, r)
	}
	return dst
}

// parseKeys reads what appendKeys wrote, with the date of colSent. text holds
// the same bytes as a string, of which the keys keep parts.
func parseKeys(text string, sent int64, k *digest.Keys) bool {
	*k = digest.Keys{}
	if sent != noSent {
		k.Sent = time.Unix(sentUnix(sent), 0).UTC()
	}
	if text == "" {
		return false
	}
	k.Reply, text = text[0] != 0, text[1:]
	for _, s := range [...]*string{&k.Subject, &k.From, &k.To, &k.Cc, &k.DisplayFrom, &k.DisplayTo} {
		n, rest, ok := cutUvarint(text)
		if !ok || n > uint64(len(rest)) {
			return false
		}
		*s, text = rest[:n], rest[n:]
	}
	if len(text) < 8 {
		return false
	}
	k.MessageID, text = le64(text), text[8:]
	n, rest, ok := cutUvarint(text)
	if !ok || n*8 != uint64(len(rest)) || n > uint64(len(rest)) {
		return false
	}
	if n > 0 {
		k.References = make([]uint64, n)
	}
	for i := range k.References {
		k.References[i] = le64(rest[8*i:])
	}
	return true
}

func le64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// cutUvarint is binary.Uvarint for strings.
func cutUvarint(s string) (n uint64, rest string, ok bool) {
	for i := 0; i < len(s) && i < 9; i++ {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}
