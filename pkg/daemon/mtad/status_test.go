package mtad

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// registered is the last detail of each subject in the registry of enhanced
// status codes (RFC 3463, RFC 5248 and what has joined since).
var registered = [...]int{0: 0, 1: 10, 2: 4, 3: 6, 4: 7, 5: 6, 6: 10, 7: 30}

// Every status code that the code names is registered: replies, reports and the
// log have no other (RFC 5248 section 2).
func TestStatusCodesAreRegistered(t *testing.T) {
	code := regexp.MustCompile(`(?:EnhancedCode\{|(?:MakeReply|[rR]efuse)\([0-9]+, )([245]), ?([0-9]+), ?([0-9]+)`)
	short := regexp.MustCompile(`\b(?:deferral|deferred|failed|bounced?)\((())([0-9]+), ([0-9]+)`)
	names := regexp.MustCompile(`Code\{Class: ([245]), Subject: ([0-9]+)(?:, Detail: ([0-9]+))?`)
	found := 0
	for _, root := range []string{"../../proto/smtp", "../../mta", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, re := range []*regexp.Regexp{code, short, names} {
				for _, m := range re.FindAllStringSubmatch(string(text), -1) {
					found++
					subject, detail := m[len(m)-2], m[len(m)-1]
					s, _ := strconv.Atoi(subject)
					n, _ := strconv.Atoi(detail) // none is 0
					if s >= len(registered) || n > registered[s] {
						t.Errorf("%s: %s: X.%s.%s is not registered", path, m[0], subject, detail)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if found < 100 {
		t.Errorf("only %d codes were found", found)
	}
}
