package maildir

import (
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Note is what a UID list says of a message beyond its name: for POP3, and a
// GUID that is not the name. Most messages have none.
type Note struct {
	UIDL  string // unique id that POP3 clients know it by (key P)
	Order uint32 // place among the messages that POP3 lists first (key O); 0: none
	GUID  string // key G
}

// Note reads the keys of a record.
func (r UIDRecord) Note() Note {
	var n Note
	for key := range strings.FieldsSeq(r.Ext) {
		switch value := key[1:]; key[0] {
		case 'P':
			n.UIDL = value
		case 'G':
			n.GUID = value
		case 'O':
			order, err := strconv.ParseUint(value, 10, 32)
			if err == nil {
				n.Order = uint32(order)
			}
		}
	}
	return n
}

// SetUIDL gives the message a unique id for good.
func (r *UIDRecord) SetUIDL(id string) {
	keys := slices.DeleteFunc(strings.Fields(r.Ext), func(key string) bool { return key[0] == 'P' })
	r.Ext = strings.Join(append(keys, "P"+id), " ")
}

// Notes returns the notes of the folder's messages by UID; empty where there
// are none, which is the rule and costs one reading of the list.
func (f *Folder) Notes() (map[uint32]Note, error) {
	list, err := f.UIDList()
	if fail.Is(err, fail.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var notes map[uint32]Note
	for _, r := range list.Records {
		if r.Ext == "" {
			continue
		}
		if n := r.Note(); n != (Note{}) {
			if notes == nil {
				notes = map[uint32]Note{}
			}
			notes[r.UID] = n
		}
	}
	return notes, nil
}

// CheckUIDL refuses an id that the list could not hold.
func CheckUIDL(id string) error {
	if id == "" || len(id) > 255 || strings.ContainsFunc(id, func(r rune) bool { return r <= 0x20 || r > 0x7E }) {
		return fail.New(fail.Invalid, "%.80q cannot be a unique id", id)
	}
	return nil
}
