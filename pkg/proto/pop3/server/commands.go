package server

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// number parses a message number: it exists and is not marked as deleted.
// rest is what stands behind it.
func (s *session) number(arg string) (i int, rest string, ok bool) {
	word, rest, _ := strings.Cut(arg, " ")
	n, err := strconv.ParseUint(word, 10, 31)
	switch {
	case word == "":
		s.fault("Missing message number.")
	case err != nil:
		s.fault("Invalid message number: " + printable(clip(word)))
	case n == 0 || int(n) > s.drop.Len():
		s.fault(fmt.Sprintf("There's no message %d.", n))
	case s.deleted[n-1]:
		s.fault("Message is deleted.")
	default:
		return int(n) - 1, strings.TrimSpace(rest), true
	}
	return 0, "", false
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// only is number for commands with nothing behind it.
func (s *session) only(arg string) (i int, ok bool) {
	i, rest, ok := s.number(arg)
	if ok && rest != "" {
		s.fault("Noise after message number: " + printable(clip(rest)))
		return 0, false
	}
	return i, ok
}

// STAT: RFC 1939 section 5.
func (s *session) stat(ctx context.Context, _ string) error {
	count, total := 0, int64(0)
	for i := range s.drop.Len() {
		if s.deleted[i] {
			continue
		}
		n, err := s.drop.Size(ctx, i)
		if err != nil {
			s.tempFault("Couldn't read the mailbox.", err)
			return nil
		}
		count, total = count+1, total+n
	}
	s.st.Size = total
	s.conn.Printf("+OK %d %d", count, total)
	return nil
}

// LIST: RFC 1939 section 5.
func (s *session) list(ctx context.Context, arg string) error {
	if arg != "" {
		i, ok := s.only(arg)
		if !ok {
			return nil
		}
		n, err := s.drop.Size(ctx, i)
		if err != nil {
			s.tempFault("Couldn't read the message.", err)
			return nil
		}
		s.conn.Printf("+OK %d %d", i+1, n)
		return nil
	}
	sizes := make([]int64, s.drop.Len())
	for i := range sizes {
		var err error
		if sizes[i], err = s.drop.Size(ctx, i); err != nil {
			s.tempFault("Couldn't read the mailbox.", err)
			return nil
		}
	}
	s.conn.Printf("+OK %d messages:", s.left())
	for i, n := range sizes {
		if !s.deleted[i] {
			s.conn.Printf("%d %d", i+1, n)
		}
	}
	s.conn.Printf(".")
	return nil
}

func (s *session) left() int {
	n := 0
	for _, d := range s.deleted {
		if !d {
			n++
		}
	}
	return n
}

// UIDL: RFC 1939 section 7.
func (s *session) uidl(_ context.Context, arg string) error {
	if arg != "" {
		if i, ok := s.only(arg); ok {
			s.conn.Printf("+OK %d %s", i+1, s.drop.UIDL(i))
		}
		return nil
	}
	s.conn.Printf("+OK")
	for i := range s.drop.Len() {
		if !s.deleted[i] {
			s.conn.Printf("%d %s", i+1, s.drop.UIDL(i))
		}
	}
	s.conn.Printf(".")
	return nil
}

// LAST: RFC 1460 section 8; later versions dropped it, old clients ask.
func (s *session) lastCmd(context.Context, string) error {
	s.conn.Printf("+OK %d", s.last)
	return nil
}

func (s *session) accessed(i int) { s.last = max(s.last, i+1) }

// RETR: RFC 1939 section 5. It sets \Seen, as Dovecot does.
func (s *session) retr(ctx context.Context, arg string) error {
	i, ok := s.only(arg)
	if !ok {
		return nil
	}
	size, err := s.drop.Size(ctx, i)
	if err != nil {
		s.tempFault("Couldn't read the message.", err)
		return nil
	}
	sent, err := s.send(ctx, i, -1, fmt.Sprintf("+OK %d octets", size))
	s.st.Retr, s.st.RetrBytes = s.st.Retr+1, s.st.RetrBytes+sent
	if err == nil && sent > 0 {
		s.accessed(i)
		_ = s.drop.Seen(ctx, i) // a mark that could not be set must not spoil the message
	}
	return err
}

// TOP: RFC 1939 section 7.
func (s *session) top(ctx context.Context, arg string) error {
	i, rest, ok := s.number(arg)
	if !ok {
		return nil
	}
	lines, err := strconv.ParseUint(rest, 10, 31)
	if err != nil {
		s.fault("Invalid line count: " + printable(clip(rest)))
		return nil
	}
	sent, err := s.send(ctx, i, int(lines), "+OK")
	s.st.Top, s.st.TopBytes = s.st.Top+1, s.st.TopBytes+sent
	return err
}

// send copies a message. An error after the first line has gone out ends the
// session: the client could not tell a cut message from a whole one.
func (s *session) send(ctx context.Context, i, lines int, first string) (int64, error) {
	r, err := s.drop.Open(ctx, i)
	if err != nil {
		s.tempFault("Message not available.", err)
		return 0, nil
	}
	defer r.Close()
	before := s.conn.BytesOut
	s.conn.Printf("%s", first)
	if err := s.conn.Body(r, lines); err != nil {
		return 0, fmt.Errorf("message %d: %w", i+1, err)
	}
	return s.conn.BytesOut - before, nil
}

// DELE: RFC 1939 section 5.
func (s *session) dele(_ context.Context, arg string) error {
	if i, ok := s.only(arg); ok {
		s.deleted[i] = true
		s.accessed(i)
		s.conn.Printf("+OK Marked to be deleted.")
	}
	return nil
}

// RSET: RFC 1939 section 5.
func (s *session) rset(context.Context, string) error {
	clear(s.deleted)
	s.last = 0
	s.conn.Printf("+OK")
	return nil
}

func (s *session) noop(context.Context, string) error {
	s.conn.Printf("+OK")
	return nil
}

// CAPA: RFC 2449; what Dovecot announces after a login.
func (s *session) capa(context.Context, string) error {
	s.conn.Printf("+OK")
	for _, c := range []string{"CAPA", "TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE", "."} {
		s.conn.Printf("%s", c)
	}
	return nil
}

// QUIT enters the UPDATE state: RFC 1939 section 6.
func (s *session) quit(ctx context.Context, _ string) error {
	var list []int
	for i, d := range s.deleted {
		if d {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		s.conn.Printf("+OK Logging out.")
		return errQuit
	}
	if err := s.drop.Delete(ctx, list); err != nil {
		s.conn.Printf("-ERR [SYS/TEMP] Couldn't delete all messages.")
		return errQuit
	}
	s.st.Deleted = len(list)
	s.conn.Printf("+OK Logging out, messages deleted.")
	return errQuit
}
