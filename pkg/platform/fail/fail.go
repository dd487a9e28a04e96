package fail

import (
	"errors"
	"fmt"
)

// Kind classifies an error by what the caller may do about it.
type Kind uint8

// The closed list of kinds.
const (
	Temporary   Kind = iota // try again later; also every unclassified error
	Permanent               // trying again cannot help
	NotFound                // the object is known not to exist (never "could not look")
	Denied                  // the peer may not do this
	Invalid                 // the input is malformed
	Exists                  // the object is there already
	Full                    // quota or space of one object is used up
	Corrupt                 // stored data is damaged; text names file and offset
	Unavailable             // a service we depend on is down
)

var names = [...]string{
	"temporary", "permanent", "not found", "denied", "invalid", "exists", "full", "corrupt", "unavailable",
}

// String returns the kind's lower-case name.
func (k Kind) String() string {
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

type kinded struct {
	kind Kind
	text string
	err  error
}

func (e *kinded) Error() string {
	switch {
	case e.err == nil:
		return e.text
	case e.text == "":
		return e.err.Error()
	}
	return e.text + ": " + e.err.Error()
}

func (e *kinded) Unwrap() error { return e.err }

// New makes an error of kind k. The text says what failed, on which object.
func New(k Kind, format string, args ...any) error {
	return &kinded{kind: k, text: fmt.Sprintf(format, args...)}
}

// Wrap gives err the kind k and puts text before it. Wrap(k, nil, …) is nil.
func Wrap(k Kind, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &kinded{kind: k, text: fmt.Sprintf(format, args...), err: err}
}

// KindOf returns the outermost kind in err's chain; Temporary when there is none.
func KindOf(err error) Kind {
	if e, ok := err.(*kinded); ok { // the usual case, which needs no search
		return e.kind
	}
	var e *kinded
	if errors.As(err, &e) {
		return e.kind
	}
	return Temporary
}

// Is reports whether err is non-nil and of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
