package program

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The exit codes that a helper uses itself.
const (
	ExitUnavailable = 69 // EX_UNAVAILABLE
	ExitSoftware    = 70 // EX_SOFTWARE
	ExitTemporary   = 75 // EX_TEMPFAIL
	ExitConfig      = 78 // EX_CONFIG
)

// exits are the codes of sysexits.h with Postfix's words for them.
var exits = map[int]struct{ dsn, text string }{
	64: {"5.3.0", "command line usage error"},
	65: {"5.6.0", "data format error"},
	66: {"5.3.0", "cannot open input"},
	67: {"5.1.1", "user unknown"},
	68: {"5.1.2", "host name unknown"},
	69: {"5.3.0", "service unavailable"},
	70: {"5.3.0", "internal software error"},
	71: {"4.3.0", "system resource problem"},
	72: {"5.3.0", "critical OS file missing"},
	73: {"5.2.0", "can't create user output file"},
	74: {"5.3.0", "input/output error"},
	75: {"4.3.0", "temporary failure"},
	76: {"5.5.0", "remote error in protocol"},
	77: {"5.7.0", "permission denied"},
	78: {"5.3.5", "local configuration error"},
}

var leading = regexp.MustCompile(`^([245])\.(\d{1,3})\.(\d{1,3})(\s+|$)`)

// Status is what the end of a program means: an enhanced status code and one
// line of text. A code at the beginning of the output counts, if it says the
// same of success as the exit code does; 4 and 5 may stand for each other.
// command is what ran, for the text.
func (r Reply) Status(command string) (dsn [3]int, text string) {
	output := strings.TrimSpace(oneLine(r.Output))
	code, words := "2.0.0", ""
	if r.Exit != 0 {
		e, ok := exits[r.Exit]
		if !ok {
			e.dsn, e.text = "5.3.0", fmt.Sprintf("Command died with status %d: \"%s\"", r.Exit, oneLine(command))
		}
		code, words = e.dsn, e.text
	}
	if m := leading.FindStringSubmatch(output); m != nil && (m[1] == "2") == (r.Exit == 0) {
		return numbers(m[1] + "." + m[2] + "." + m[3]), strings.TrimSpace(output[len(m[0]):])
	}
	switch {
	case words == "":
		words = output
	case output != "":
		words += ". Command output: " + output
	}
	return numbers(code), words
}

func numbers(dsn string) (out [3]int) {
	for i, p := range strings.SplitN(dsn, ".", 3) {
		out[i], _ = strconv.Atoi(p)
	}
	return out
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, s)
}
