package sasl

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// TestTranscripts plays testdata/*.txt. A file holds one exchange or more, with
// an empty line between them:
//
//	mech SCRAM-SHA-1           which one; begins an exchange
//	user NAME PASSWORD         whom the backend knows; more facts: see facts
//	client NAME PASSWORD       plays our client too, which must say the C: lines
//	C: / S:                    what goes over the wire, in Go's escapes; the
//	                           last S: may come along with the success
//	C:NONE                     no initial response
//	OK NAME [as NAME]          the server is satisfied, and of whom
//	FAIL kind                  the server refuses
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		line := 0
		for _, part := range strings.Split(string(text), "\n\n") {
			first := line
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+":"+strconv.Itoa(first+1), func(t *testing.T) {
				play(t, strings.Split(part, "\n"), first)
			})
			line += strings.Count(part, "\n") + 2
		}
	}
}

// script is one exchange.
type script struct {
	t      *testing.T
	line   int
	mech   Mechanism
	people people
	set    Setting
	cred   Credentials
	cnonce string
	ours   bool // play our client

	server   gosasl.Server
	client   gosasl.Client
	response []byte // of our client, to the last challenge
	done     bool
	err      error
}

func play(t *testing.T, lines []string, first int) {
	s := &script{t: t, people: people{t: t, passwords: map[string]string{}}}
	ended := false
	for i, l := range lines {
		s.line = first + i + 1
		word, rest, _ := strings.Cut(l, " ")
		switch {
		case l == "", strings.HasPrefix(l, "#"):
		case word == "C:" || word == "C:NONE":
			s.clientSays(word, rest)
		case word == "S:":
			s.serverSays(rest)
		case word == "OK" || word == "FAIL":
			ended = true
			s.end(word, rest)
		default:
			s.fact(word, rest)
		}
	}
	if s.server != nil && !ended {
		t.Errorf("line %d: the exchange has no end", s.line)
	}
}

func (s *script) fact(word, rest string) {
	a, b, _ := strings.Cut(s.unquote(rest), " ")
	switch word {
	case "mech":
		var ok bool
		if s.mech, ok = Find(a); !ok {
			s.t.Fatalf("line %d: no mechanism %q", s.line, a)
		}
	case "user":
		s.people.passwords[a] = b
	case "salt":
		s.people.salt, _ = base64.StdEncoding.DecodeString(a)
	case "iterations":
		s.people.iter, _ = strconv.Atoi(a)
	case "token":
		s.people.token = a
	case "binding":
		if s.people.bindings == nil {
			s.people.bindings = map[string]string{}
		}
		s.people.bindings[a] = b
		s.cred.Binder = &s.people
	case "certificate":
		s.people.cert = a
	case "guests":
		s.people.guests = true
	case "disabled":
		s.people.disabled = true
	case "outage":
		s.people.outage = true
	case "plus":
		s.set.PlusOffered = true
	case "host":
		s.set.Host = a
	case "nonce":
		s.set.nonce = func() string { return a }
	case "stamp": // pid and connection; since is fixed
		pid, _ := strconv.ParseUint(a, 16, 32)
		conn, _ := strconv.ParseUint(b, 16, 32)
		s.set.Stamp = Stamp{PID: uint32(pid), Conn: uint32(conn), Since: time.Unix(0x60000000, 0)}
	case "client":
		s.ours, s.cred.Authcid, s.cred.Password = true, a, b
	case "cnonce":
		s.cnonce = a
	case "authzid":
		s.cred.Authzid = a
	case "bearer":
		s.cred.Token = a
	case "target":
		s.cred.Target = a
	case "stamped":
		s.cred.Stamped = a
	default:
		s.t.Fatalf("line %d: no fact %q", s.line, word)
	}
}

// begin makes both sides, once all facts are known.
func (s *script) begin() {
	s.server = s.mech.NewServer(&s.people, s.set)
	if !s.ours {
		return
	}
	s.client = s.mech.NewClient(s.cred)
	switch c := s.client.(type) {
	case *scramClient:
		c.nonce = s.cnonce
	case *digestClient:
		c.cnonce = func() string { return s.cnonce }
	}
	name, ir, err := s.client.Start()
	if err != nil || name != s.mech.Name {
		s.t.Fatalf("line %d: client starts %q: %v", s.line, name, err)
	}
	s.response = ir
}

func (s *script) clientSays(word, rest string) {
	if s.server == nil {
		s.begin()
	}
	said := []byte(s.unquote(rest))
	if word == "C:NONE" {
		said = nil
	}
	if s.ours && (string(s.response) != string(said) || (s.response == nil) != (said == nil)) {
		s.t.Errorf("line %d: our client says %q", s.line, s.response)
	}
	var challenge []byte
	challenge, s.done, s.err = s.server.Next(said)
	s.response = challenge
}

func (s *script) serverSays(rest string) {
	if s.err != nil || s.response == nil {
		s.t.Fatalf("line %d: the server has ended: %v %v", s.line, s.done, s.err)
	}
	if got, want := string(s.response), s.unquote(rest); got != want {
		s.t.Errorf("line %d: server says %q", s.line, got)
	}
	if !s.ours {
		return
	}
	response, err := s.client.Next(s.response)
	if err != nil || s.done && (response == nil || len(response) != 0) {
		s.t.Fatalf("line %d: client: %q %v", s.line, response, err)
	}
	s.response = response
}

func (s *script) end(word, rest string) {
	if err := s.people.settled(); err != nil {
		s.t.Errorf("line %d: %v", s.line, err)
	}
	if word == "FAIL" {
		if s.done || s.err == nil || fail.KindOf(s.err).String() != rest || s.response != nil {
			s.t.Errorf("line %d: done %v, challenge %q, error %v", s.line, s.done, s.response, s.err)
		}
	} else {
		got := s.people.id.Authcid
		if as := s.people.id.Authzid; as != "" {
			got += " as " + as
		}
		if !s.done || s.err != nil || got != s.unquote(rest) {
			s.t.Errorf("line %d: done %v of %q, error %v", s.line, s.done, got, s.err)
		}
		if s.ours {
			if err := Complete(s.client); err != nil {
				s.t.Errorf("line %d: client: %v", s.line, err)
			}
		}
	}
	if _, done, err := s.server.Next([]byte("more")); done || err == nil {
		s.t.Errorf("line %d: a step after the end counts", s.line)
	}
}

func (s *script) unquote(text string) string {
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		s.t.Fatalf("line %d: %v", s.line, err)
	}
	return out
}
