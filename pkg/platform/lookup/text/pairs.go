package text

import (
	"bytes"
	"errors"
	"io"
)

// Pair splits a line of a key, white space and a value. Double quotes in the
// key protect white space and stay, as in an address. ok is false when one of
// the two is missing or quotes do not end; why says which.
func Pair(line []byte) (key, value []byte, why string) {
	quoted := false
	end := len(line)
scan:
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && isSpace(c):
			end = i
			break scan
		}
	}
	key, value = line[:end], bytes.TrimSpace(line[end:])
	switch {
	case quoted:
		return nil, nil, "a double quote is not closed: the line is ignored"
	case len(value) == 0 || len(bytes.Trim(key, `"`)) == 0:
		return nil, nil, "this is not a key, white space and a value: the line is ignored"
	}
	return key, value, ""
}

func isSpace(c byte) bool { return c == ' ' || ('\t' <= c && c <= '\r') }

// ReadPairs reads lines of a key and a value. fold prepares keys for the
// index and may be nil. The first of two equal keys counts.
func ReadPairs(l *Lines, size int64, fold func([]byte) []byte) (*Index, error) {
	x := NewIndex(size)
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err != nil {
			return nil, err
		}
		key, value, why := Pair(line)
		if why != "" {
			l.Warnf("%s", why)
			continue
		}
		if key[len(key)-1] == ':' {
			l.Warnf("the key ends with a colon; is this a file of aliases?")
		}
		if fold != nil {
			key = fold(key)
		}
		added, err := x.Add(key, value)
		if err != nil {
			return nil, err
		}
		if !added {
			l.Warnf("%.100q is there twice: the first one counts", key)
		}
	}
}
