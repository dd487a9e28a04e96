package message

import (
	"io"
	"strings"
	"time"
)

func lower(s string) string { return strings.ToLower(s) }

func findParam(ps []Param, name string) string { return "" }

// ParseStructure reads a whole message and returns its root part. The error
// is r's.
func ParseStructure(r io.Reader, lim Limits) (*Part, error) { return &Part{}, nil }

// Find returns the part at path (RFC 3501 part numbers; empty is p itself).
// Part 1 of a message that is no multipart is its body.
func (p *Part) Find(path []int) (*Part, bool) { return nil, false }

// AppendEnvelope appends the IMAP ENVELOPE of a message with header h.
func AppendEnvelope(dst []byte, h Header, lim Limits) []byte { return dst }

// AppendBodyStructure appends the IMAP BODY (extended false) or BODYSTRUCTURE
// of p.
func AppendBodyStructure(dst []byte, p *Part, extended bool) []byte { return dst }

// AppendString appends s as an IMAP string: quoted when that is allowed, else
// a literal. Strings with 8-bit or control bytes are literals.
func AppendString(dst []byte, s string) []byte { return dst }

// AppendNString is AppendString with NIL for the empty string.
func AppendNString(dst []byte, s string) []byte { return dst }

// AddressKind tells mailboxes from the ends of a group.
type AddressKind uint8

// Kinds of Address.
const (
	Mailbox    AddressKind = iota
	GroupStart             // Mailbox holds the group's name
	GroupEnd
)

// Address is one element of an address field, nothing decoded.
type Address struct {
	Kind                       AddressKind
	Name, Route, Mailbox, Host string
}

// ParseAddresses reads an address list (RFC 5322 section 3.4 with the obsolete
// forms), at most max elements.
func ParseAddresses(value []byte, max int) []Address { return nil }

// DecodeWords turns RFC 2047 encoded words in s into UTF-8. What cannot be
// decoded stays as it is; the result is valid UTF-8.
func DecodeWords(s string) string { return s }

// Decoded returns the body of a leaf part with its transfer encoding undone.
func Decoded(src io.ReaderAt, p *Part) io.Reader { return strings.NewReader("") }

// Text returns the body of a leaf part as UTF-8 text: transfer encoding and
// charset undone. ok is false when p is no text.
func Text(src io.ReaderAt, p *Part) (r io.Reader, ok bool) { return nil, false }

// ParseDate reads a Date field as leniently as mail requires.
func ParseDate(value string) (time.Time, bool) { return time.Time{}, false }
