package control

import (
	"bytes"
	"encoding/json"

	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	maxRequest = 64 << 10 // bytes of a request line
	maxVerb    = 64
	maxArgs    = 1024
)

// parseRequest reads one line without its end: a verb, and after one space
// an array of strings, or nothing.
func parseRequest(line []byte) (verb string, args []string, err error) {
	name, rest, hasArgs := bytes.Cut(line, []byte(" "))
	if !validVerb(name) {
		return "", nil, fail.New(fail.Invalid, "a request begins with a verb in upper-case letters, such as STATUS")
	}
	if !hasArgs {
		return string(name), nil, nil
	}
	if len(rest) == 0 || rest[0] != '[' || json.Unmarshal(rest, &args) != nil {
		return "", nil, fail.New(fail.Invalid, `arguments are a JSON array of strings, such as %s ["a","b"]`, name)
	}
	if len(args) > maxArgs {
		return "", nil, fail.New(fail.Invalid, "%s has more than %d arguments", name, maxArgs)
	}
	return string(name), args, nil
}

// appendRequest is the inverse of parseRequest, with the line's end.
func appendRequest(dst []byte, verb string, args []string) ([]byte, error) {
	if !validVerb([]byte(verb)) {
		return nil, fail.New(fail.Invalid, "%q is not a verb", verb)
	}
	dst = append(dst, verb...)
	if len(args) > 0 {
		list, err := json.Marshal(args)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, ' '), list...)
	}
	if len(dst) > maxRequest {
		return nil, fail.New(fail.Invalid, "the request is longer than %d bytes, use fewer arguments at a time", maxRequest)
	}
	return append(dst, '\n'), nil
}

func validVerb(name []byte) bool {
	for i, c := range name {
		letter := c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '_') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= maxVerb
}

// failure is the last line of an answer that went wrong.
type failure struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

// parseFailure recognises a failure: an object of exactly its two keys with a
// kind from the closed list.
func parseFailure(line []byte) error {
	if !bytes.HasPrefix(line, []byte(`{"error":`)) {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	var f failure
	if dec.Decode(&f) != nil {
		return nil
	}
	for k := fail.Temporary; k.String() != "unknown"; k++ {
		if k.String() == f.Kind {
			return fail.New(k, "%s", f.Error)
		}
	}
	return nil
}
