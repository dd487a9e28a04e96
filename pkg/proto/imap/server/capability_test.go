package server

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const docs = "../../../../docs/imap.md"

// docRow is a row of the table in docs/imap.md.
type docRow struct{ rfc, state, where string }

func documented(t *testing.T) map[string]docRow {
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "<!-- capabilities:begin -->\n")
	table, _, closed := strings.Cut(table, "<!-- capabilities:end -->")
	if !found || !closed {
		t.Fatal("no table in " + docs)
	}
	rows := map[string]docRow{}
	for _, l := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		cells := strings.Split(strings.Trim(l, "|"), "|")
		if len(cells) != 5 {
			t.Fatalf("%d cells in %q", len(cells), l)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if _, twice := rows[cells[1]]; twice {
			t.Errorf("%s is there twice", cells[1])
		}
		rows[cells[1]] = docRow{cells[0], cells[2], strings.Trim(cells[3], "`")}
	}
	return rows
}

// docs/imap.md and the table of capabilities say the same.
func TestCapabilitiesAreDocumented(t *testing.T) {
	rows := documented(t)
	plain := newSession(New(Config{}), discard{}, Start{Account: newFakeAccount()})
	for _, c := range capabilityTable() {
		row, found := rows[c.name]
		delete(rows, c.name)
		if !found {
			t.Errorf("%s lacks a row: | %d | %s | … |", c.name, c.rfc, c.name)
			continue
		}
		if row.rfc != fmt.Sprint(c.rfc) {
			t.Errorf("%s is of RFC %d, not %s", c.name, c.rfc, row.rfc)
		}
		always := plain.announced(c.name) != nil
		if conditional := strings.HasPrefix(row.state, "if "); row.state != "yes" && !conditional || (row.state == "yes") != always {
			t.Errorf("%s: state %q, and announced by default is %v", c.name, row.state, always)
		}
		if _, err := os.Stat(row.where); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for name, row := range rows {
		if row.state != "no" {
			t.Errorf("%s is not in the table of capabilities", name)
		}
	}
}

// The transcripts that the documentation names exist.
func TestDocumentedTranscripts(t *testing.T) {
	folders := map[string]string{"": ".", "login/": "../login", "session/": "../../../daemon/imapd/session"}
	for _, page := range []string{docs, "../../../../docs/imap-examples.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile("`((?:[a-z]+/)?)([a-z0-9_-]+\\.txt)`").FindAllStringSubmatch(string(text), -1)
		if len(names) < 5 {
			t.Fatal("no names of transcripts in " + page)
		}
		for _, m := range names {
			if _, err := os.Stat(filepath.Join(folders[m[1]], "testdata", m[2])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// A row that needs others is announced with all of them only.
func TestCapabilityNeeds(t *testing.T) {
	srv := New(Config{})
	srv.caps = []capability{{name: "A", needs: "B C"}, {name: "B"}, {name: "C", when: exclusive}}
	s := newSession(srv, discard{}, Start{Account: newFakeAccount()})
	if got := s.capabilities(); got != "A B C" {
		t.Error(got)
	}
	s.start.Shared = true
	if got := s.capabilities(); got != "B" {
		t.Error(got)
	}
}
