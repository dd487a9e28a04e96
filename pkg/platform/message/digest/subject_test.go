package digest

import (
	"strings"
	"testing"
	"time"
)

func TestBaseSubject(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"Plans":                             "Plans",
		"  Plans\tfor\r\n  2026  ":          "Plans for 2026",
		"Re: Plans":                         "Plans R",
		"RE:Plans":                          "Plans R",
		"fw: Plans":                         "Plans R",
		"Fwd: re: FW: Plans":                "Plans R",
		"Re : Plans":                        "Plans R",
		"Re[2]: Plans":                      "Plans R",
		"re [x] : Plans":                    "Plans R",
		"Reply: Plans":                      "Reply: Plans",
		"Re Plans":                          "Re Plans",
		"Fwdd: Plans":                       "Fwdd: Plans",
		"Antwort: Plans":                    "Antwort: Plans", // translations stay (section 7)
		"Plans (fwd)":                       "Plans R",
		"Plans (Fwd)(fwd)  (FWD) ":          "Plans R",
		"(fwd)":                             " R",
		"[list] Plans":                      "Plans",
		"[a] [b][c]Plans":                   "Plans",
		"[a] [b] Re: [c] Plans":             "Plans R",
		"Re: [list]":                        "[list] R",
		"[list]":                            "[list]",
		"[a][list]":                         "[list]",
		"[a] re:":                           " R",
		"Re:":                               " R",
		"[list] (fwd)":                      "[list] R",
		"[fwd: Plans]":                      "Plans R",
		"[Fwd: [Fwd: Re: [x] Plans (fwd)]]": "Plans R",
		"[fwd:]":                            " R",
		"[fwd: Plans":                       "[fwd: Plans",
		"[fwd: Plans] x":                    "x", // a blob
		"[a][fwd: Plans]":                   "Plans R",
		"[fwd: [a]]":                        "[a] R",
		"[a":                                "[a",
		"[a[b] Plans":                       "[a[b] Plans",
		"Plans [x]":                         "Plans [x]",
		"Re: Grüße":                         "Grüße R",
		"]":                                 "]",
		"re[a]":                             "re[a]",
		"re[a:":                             "re[a:",
		"re\t[a]  :\tb":                     "b R",
		"[fwd:]]":                           "]", // a blob
	} {
		base, reply := BaseSubject(in)
		if reply {
			base += " R"
		}
		if base != want {
			t.Errorf("%q: %q, want %q", in, base, want)
		}
	}
}

// hostileSubjects nest what the rules take off.
func hostileSubjects(n int) map[string]string {
	return map[string]string{
		"open":      strings.Repeat("[", n),
		"blobs":     strings.Repeat("[a]", n),
		"blobs, x":  strings.Repeat("[a]", n) + "x",
		"forwards":  strings.Repeat("[fwd:", n) + strings.Repeat("]", n),
		"half":      strings.Repeat("[fwd:", n),
		"closing":   "[fwd:" + strings.Repeat("]", n),
		"mixed":     strings.Repeat("[fwd:[a]re:", n) + strings.Repeat("(fwd)]", n),
		"re":        strings.Repeat("re[a", n),
		"re, blobs": strings.Repeat("re[a]:", n),
		"re spaces": strings.Repeat("re [a] ", n),
		"trailers":  strings.Repeat("(fwd)", n),
		"spaces":    strings.Repeat(" \t", n),
		"shut":      strings.Repeat("[fwd:[x", n) + strings.Repeat("]", 2*n),
	}
}

// The work on hostile subjects is linear: a hundred times the length may not
// cost as much as something quadratic would by far.
func TestBaseSubjectIsLinear(t *testing.T) {
	for name, s := range hostileSubjects(200_000) {
		begin := time.Now()
		BaseSubject(s)
		if took := time.Since(begin); took > affordable {
			t.Errorf("%s: %v for %d bytes", name, took, len(s))
		}
	}
}

func FuzzBaseSubject(f *testing.F) {
	for _, s := range hostileSubjects(3) {
		f.Add(s)
	}
	f.Add("Re: [list] (was: x) y (fwd)")
	f.Fuzz(func(t *testing.T, s string) {
		base, reply := BaseSubject(s)
		if again, isReply := BaseSubject(base); again != base || isReply {
			t.Fatalf("%q has %q, which has %q", s, base, again)
		}
		if want, wantReply := naiveBase(s); base != want || reply != wantReply {
			t.Fatalf("%q: %q %v, by the letter %q %v", s, base, reply, want, wantReply)
		}
	})
}

// naiveBase follows the steps of RFC 5256 section 2.1 one at a time, without
// a care for what it costs.
func naiveBase(s string) (string, bool) {
	reply := false
	s = strings.Join(strings.FieldsFunc("x"+s+"x", func(r rune) bool { return r < 128 && isSpace(byte(r)) }), " ")
	s = s[1 : len(s)-1]
	for {
		for {
			if strings.HasSuffix(s, " ") {
				s = s[:len(s)-1]
			} else if len(s) >= 5 && strings.EqualFold(s[len(s)-5:], "(fwd)") {
				s, reply = s[:len(s)-5], true
			} else {
				break
			}
		}
		for changed := true; changed; {
			changed = false
			if rest, found := strings.CutPrefix(s, " "); found {
				s, changed = rest, true
				continue
			}
			rest := s
			for {
				next, found := blob(rest)
				if !found {
					break
				}
				rest = next
			}
			if next, found := refwd(rest); found {
				s, reply, changed = next, true, true
				continue
			}
			if next, found := blob(s); found && next != "" {
				s, changed = next, true
			}
		}
		if len(s) < 6 || !strings.EqualFold(s[:5], "[fwd:") || !strings.HasSuffix(s, "]") {
			return s, reply
		}
		s, reply = s[5:len(s)-1], true
	}
}
