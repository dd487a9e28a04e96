package passwdfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxLine caps one line; what is longer is a problem of that line only.
const maxLine = 64 << 10

// maxProblems caps the report; a file of another format is wrong in each line.
const maxProblems = 100

// Problem is one line that is not in force.
type Problem struct {
	File string
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Snapshot is a file as it was at one moment. It does not change.
type Snapshot struct {
	Problems []Problem
	entries  map[string]*Entry
	order    []*Entry
	broken   map[string]Problem // users whose line is wrong
	domains  map[string]int     // users by domain
}

// Parse reads a file; name is for problems. The error is one of reading.
func Parse(name string, r io.Reader) (*Snapshot, error) {
	s := &Snapshot{entries: map[string]*Entry{}, broken: map[string]Problem{}, domains: map[string]int{}}
	br := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		line, whole, err := readLine(br)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fail.Wrap(fail.Unavailable, err, "reading %s", name)
		}
		if line == "" && err != nil {
			return s, nil
		}
		s.add(name, n, line, whole)
		if err != nil {
			return s, nil
		}
	}
}

// readLine returns a line without its end; whole is false when it was cut.
func readLine(br *bufio.Reader) (line string, whole bool, err error) {
	b, err := br.ReadSlice('\n')
	line, whole = strings.TrimRight(string(b), "\r\n"), true
	for errors.Is(err, bufio.ErrBufferFull) {
		whole = false
		_, err = br.ReadSlice('\n')
	}
	return line, whole, err
}

func (s *Snapshot) add(file string, n int, line string, whole bool) {
	if line == "" || line[0] == '#' {
		return
	}
	e, name, err := parseEntry(line)
	if !whole {
		err = fail.New(fail.Invalid, "line is longer than %d bytes", maxLine)
	}
	if err == nil && s.entries[name] != nil {
		s.report(Problem{file, n, fmt.Sprintf("user %s is in line %d already, which counts", name, s.entries[name].Line)})
		return
	}
	if err == nil {
		e.Line = n
		s.entries[name] = e
		s.order = append(s.order, e)
		s.domains[domainOf(name)]++
		return
	}
	p := Problem{file, n, err.Error()}
	s.report(p)
	if name != "" {
		s.broken[name] = p
		s.domains[domainOf(name)]++
	}
}

func (s *Snapshot) report(p Problem) {
	if len(s.Problems) < maxProblems {
		s.Problems = append(s.Problems, p)
	}
}

func domainOf(name string) string {
	_, domain := account.Split(name)
	return domain
}

// Lookup finds a user by any spelling of its name. fail.NotFound when the file
// does not mention it; fail.Unavailable when its line is wrong: mail for it
// must wait, not bounce.
func (s *Snapshot) Lookup(name string) (*Entry, error) {
	name = account.Canonical(name)
	if e := s.entries[name]; e != nil {
		return e, nil
	}
	if p, ok := s.broken[name]; ok {
		return nil, fail.New(fail.Unavailable, "user %s: %s", name, p)
	}
	return nil, fail.New(fail.NotFound, "no user %s", name)
}

// Entries lists the users in the order of the file.
func (s *Snapshot) Entries() []*Entry { return s.order }

// HasDomain reports whether some user, even one with a wrong line, is of
// domain (in lower case).
func (s *Snapshot) HasDomain(domain string) bool { return domain != "" && s.domains[domain] > 0 }
