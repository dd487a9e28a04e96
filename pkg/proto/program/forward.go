package program

import (
	"context"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// What a request may ask for in place of a delivery.
const (
	AskForward = "forward" // the .forward file of the recipient
	AskInclude = "include" // File, which such a file includes
)

// The exit codes of an answer without a file.
const (
	ExitNoInput = 66 // EX_NOINPUT: there is none
	ExitNoPerm  = 77 // EX_NOPERM: there is one, but it does not count
)

// MaxForward caps a .forward file.
const MaxForward = maxOutput - 2*maxLine

// ForwardFile is a file that says where a user's mail goes.
type ForwardFile struct {
	Path      string
	Extension bool // the name of the file has the extension of the address in it
	Text      string
}

// Append writes the file as the output of a reply.
func (f ForwardFile) Append(b []byte) []byte {
	b = append(append(b, "path="...), escape(f.Path)...)
	if f.Extension {
		b = append(b, "\nextension=yes"...)
	}
	b = append(b, "\nsize="+strconv.Itoa(len(f.Text))...)
	return append(append(b, "\n\n"...), f.Text...)
}

// parseForward is the reverse of Append. A file that was cut off is none:
// somebody would be left out.
func parseForward(output string) (f ForwardFile, ok bool) {
	head, text, ok := strings.Cut(output, "\n\n")
	if !ok {
		return f, false
	}
	f.Text = text
	size := ""
	for _, line := range strings.Split(head, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "path":
			f.Path, ok = unescape(value)
		case "extension":
			f.Extension = true
		case "size":
			size = value
		default:
			return f, false
		}
	}
	return f, ok && f.Path != "" && size == strconv.Itoa(len(text))
}

// Forward asks a helper for the .forward file of a recipient; with include,
// for that file, which the first one includes. Errors: fail.NotFound if there
// is none; fail.Denied if there is one that does not count, because of its
// owner, permissions or size; fail.Unavailable if that is not known now.
func Forward(ctx context.Context, socket, recipient, include string) (ForwardFile, error) {
	r := Request{Ask: AskForward, Recipients: []Recipient{{Address: recipient}}}
	if include != "" {
		r.Ask, r.File = AskInclude, include
	}
	reply, err := Run(ctx, socket, r, strings.NewReader(""))
	if err != nil {
		return ForwardFile{}, err
	}
	switch reply.Exit {
	case 0:
		if f, ok := parseForward(reply.Output); ok {
			return f, nil
		}
		return ForwardFile{}, fail.New(fail.Unavailable, "helper %s: the answer is not understood", socket)
	case ExitNoInput:
		return ForwardFile{}, fail.New(fail.NotFound, "no .forward file")
	case ExitNoPerm:
		return ForwardFile{}, fail.New(fail.Denied, "%.300s", oneLine(reply.Output))
	}
	return ForwardFile{}, fail.New(fail.Unavailable, "helper: %.300s", oneLine(reply.Output))
}
