package wire

import (
	"bytes"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Errors of command syntax.
var (
	errPath  = fail.New(fail.Invalid, "malformed address path")
	errParam = fail.New(fail.Invalid, "malformed parameter")
)

// Split returns the verb of a command line and what follows it, both without
// surrounding blanks. Nothing is copied.
func Split(line []byte) (verb, args []byte) {
	line = trimBlanks(line)
	for i, c := range line {
		if blank(c) {
			return line[:i], trimBlanks(line[i:])
		}
	}
	return line, nil
}

// Path reads the argument of MAIL and RCPT, keyword being "FROM:" or "TO:":
//
//	keyword [blanks] ( "<" path ">" | path ) [blanks params]
//
// Blanks before the path and a path without angle brackets are errors of many
// clients that Postfix forgives. bracketed tells whether there were brackets;
// path is without them. Quoted strings may hold blanks and ">".
func Path(args []byte, keyword string) (path, params []byte, bracketed bool, err error) {
	if len(args) < len(keyword) || !bytes.EqualFold(args[:len(keyword)], []byte(keyword)) {
		return nil, nil, false, errPath
	}
	args = trimBlanks(args[len(keyword):])
	bracketed = len(args) > 0 && args[0] == '<'
	if bracketed {
		args = args[1:]
	}
	end, err := pathEnd(args, bracketed)
	if err != nil {
		return nil, nil, bracketed, err
	}
	path, params = args[:end], args[end:]
	if bracketed {
		params = params[1:]
	}
	if len(params) > 0 && !blank(params[0]) || !bracketed && len(path) == 0 {
		return nil, nil, bracketed, errPath
	}
	return path, trimBlanks(params), bracketed, nil
}

func pathEnd(b []byte, bracketed bool) (int, error) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case quoted:
		case c == '>' && bracketed, blank(c) && !bracketed:
			return i, nil
		}
	}
	if bracketed || quoted {
		return 0, errPath
	}
	return len(b), nil
}

// Param cuts the first ESMTP parameter off params:
//
//	esmtp-keyword ["=" esmtp-value]        RFC 5321 section 4.1.2
//
// The value of "KEY=" is empty and has is true.
func Param(params []byte) (key, value []byte, has bool, rest []byte, err error) {
	end := len(params)
	for i, c := range params {
		if blank(c) {
			end = i
			break
		}
	}
	key, rest = params[:end], trimBlanks(params[end:])
	if i := bytes.IndexByte(key, '='); i >= 0 {
		key, value, has = key[:i], key[i+1:], true
	}
	if len(key) == 0 {
		return nil, nil, false, nil, errParam
	}
	for i, c := range key {
		if !letter(c) && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return nil, nil, false, nil, errParam
		}
	}
	for _, c := range value {
		if c <= ' ' || c == 0x7f || c == '=' && !tolerated(key) {
			return nil, nil, false, nil, errParam
		}
	}
	return key, value, has, rest, nil
}

// tolerated: AUTH=<> values and ENVIDs with a raw "=" are sent by old relays.
func tolerated(key []byte) bool {
	return bytes.EqualFold(key, []byte("AUTH")) || bytes.EqualFold(key, []byte("ENVID"))
}

// Digits reads a decimal number of at most 18 digits.
func Digits(b []byte) (n int64, ok bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func blank(c byte) bool  { return c == ' ' || c == '\t' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func trimBlanks(b []byte) []byte {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && blank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
