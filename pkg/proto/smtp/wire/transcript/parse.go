package transcript

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Step is one line of a transcript.
type Step struct {
	Line int    // in the file
	Kind byte   // C, R, S, H, T, W or X
	N    int    // repetitions of C and S
	Text string // as written
}

// Script is a parsed transcript.
type Script struct {
	Options map[string]string
	Steps   []Step
}

// Parse reads a transcript.
func Parse(text string) (Script, error) {
	s := Script{Options: map[string]string{}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		if line[0] == '@' {
			key, value, _ := strings.Cut(strings.TrimSpace(line[1:]), " ")
			s.Options[key] = strings.TrimSpace(value)
			continue
		}
		head, rest, ok := strings.Cut(line, ":")
		step := Step{Line: i + 1, N: 1, Text: strings.TrimPrefix(rest, " ")}
		kind, times, repeated := strings.Cut(head, "*")
		if repeated {
			n, err := strconv.Atoi(times)
			ok = ok && err == nil && n > 0
			step.N = n
		}
		if !ok || len(kind) != 1 || !strings.Contains("CRSHTWX", kind) {
			return s, fmt.Errorf("line %d: %q is no step", i+1, line)
		}
		step.Kind = kind[0]
		s.Steps = append(s.Steps, step)
	}
	return s, nil
}

// octets returns what a C or R line sends.
func octets(text string) ([]byte, error) {
	var out []byte
	for i := 0; i < len(text); {
		c := text[i : i+1]
		i++
		if c == `\` {
			esc, used, err := escape(text[i:])
			if err != nil {
				return nil, err
			}
			c, i = esc, i+used
		}
		n := 1
		if i < len(text) && text[i] == '{' {
			if end := strings.IndexByte(text[i:], '}'); end > 0 {
				if k, err := strconv.Atoi(text[i+1 : i+end]); err == nil {
					n, i = k, i+end+1
				}
			}
		}
		out = append(out, bytes.Repeat([]byte(c), n)...)
	}
	return out, nil
}

func escape(s string) (octet string, used int, err error) {
	if s == "" {
		return "", 0, fmt.Errorf("unfinished escape")
	}
	switch s[0] {
	case 'r':
		return "\r", 1, nil
	case 'n':
		return "\n", 1, nil
	case 't':
		return "\t", 1, nil
	case '\\', '{':
		return s[:1], 1, nil
	case 'x':
		if len(s) >= 3 {
			if v, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				return string([]byte{byte(v)}), 3, nil
			}
		}
	}
	return "", 0, fmt.Errorf("unknown escape \\%s", s[:1])
}

// Match reports whether text fits pattern, in which * stands for any text.
func Match(pattern, text string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, head)
	if !ok {
		return false
	}
	for i := 0; i <= len(text); i++ {
		if Match(rest, text[i:]) {
			return true
		}
	}
	return false
}
