package cache

import (
	"bytes"
	"strings"
)

// needle is a text to be found in many. Its rarest byte is looked for first,
// with an instruction that compares 32 bytes at a time.
type needle struct {
	text []byte
	rare int // where in text that byte is
}

// usual are bytes of collated text, the most usual first.
const usual = " EATIONRSLCDMUHPGBFYWV.@-,_<>\"\n0129345678KJXZQ"

// newNeedle prepares a text that is not empty.
func newNeedle(text []byte) needle {
	n := needle{text: text}
	best := -1
	for i, b := range text {
		if r := rareness(b); r > best {
			best, n.rare = r, i
		}
	}
	return n
}

// rareness grows with how rarely a byte is met. In a text that is not English,
// the bytes that begin its letters are all the same few.
func rareness(b byte) int {
	if b >= 0xc0 {
		return 0
	}
	if i := strings.IndexByte(usual, b); i >= 0 {
		return i
	}
	return len(usual)
}

// index finds the needle in b, -1 when it is not there. Where its byte turns
// out to be no rare one, it is bytes.Index that goes on.
func (n *needle) index(b []byte) int {
	const dear = 16 // bytes that bytes.Index looks at for the price of a stop
	last := len(b) - (len(n.text) - 1 - n.rare)
	stops := 0
	for at := n.rare; at < last; at++ {
		k := bytes.IndexByte(b[at:last], n.text[n.rare])
		if k < 0 {
			return -1
		}
		at += k
		from := at - n.rare
		if string(b[from:from+len(n.text)]) == string(n.text) {
			return from
		}
		if stops++; stops*dear > from+16*dear {
			if k = bytes.Index(b[from:], n.text); k >= 0 {
				k += from
			}
			return k
		}
	}
	return -1
}
