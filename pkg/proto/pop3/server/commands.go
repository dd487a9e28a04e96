package server

import (
	"context"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/pop3/wire"
)

// number parses a message number that exists and is not marked as deleted,
// and what follows it. more wants something behind it, else nothing may be.
func (s *session) number(arg string, more bool) (i int, rest string, ok bool) {
	digits := 0
	for digits < len(arg) && arg[digits] >= '0' && arg[digits] <= '9' {
		digits++
	}
	rest = arg[digits:]
	n, err := strconv.ParseUint(arg[:digits], 10, 32)
	switch {
	case digits == 0:
		s.fault("Invalid message number: " + printable(clip(arg)))
	case err != nil:
		s.fault("Message number too large: " + printable(clip(rest)))
	case more != strings.HasPrefix(rest, " ") || !more && rest != "":
		s.fault("Noise after message number: " + printable(clip(rest)))
	case n == 0 || n > uint64(s.drop.Len()):
		s.fault(fmt.Sprintf("There's no message %d.", n))
	case s.deleted.has(int(n - 1)):
		s.fault("Message is deleted.")
	default:
		return int(n) - 1, strings.TrimLeft(rest, " "), true
	}
	return 0, "", false
}

// only is number for commands with nothing behind it.
func (s *session) only(arg string) (i int, ok bool) {
	i, _, ok = s.number(arg, false)
	return i, ok
}

func clip(s string) string { return s[:min(len(s), 40)] }

// pair writes "n text" lines without the cost of formatting.
func (s *session) pair(i int, put func(dst []byte) ([]byte, error)) error {
	line := strconv.AppendInt(s.line[:0], int64(i+1), 10)
	line, err := put(append(line, ' '))
	s.line = line
	if err == nil {
		s.conn.Line(line)
	}
	return err
}

// STAT: RFC 1939 section 5.
func (s *session) stat(ctx context.Context, _ string) error {
	total, err := s.drop.Total(ctx)
	if err != nil {
		s.tempFault(err)
		return nil
	}
	s.conn.Printf("+OK %d %d", s.left(), total-s.gone)
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
			s.tempFault(err)
			return nil
		}
		s.conn.Printf("+OK %d %d", i+1, n)
		return nil
	}
	// Whether all sizes can be told shows before the list begins.
	if _, err := s.drop.Total(ctx); err != nil {
		s.tempFault(err)
		return nil
	}
	s.conn.Printf("+OK %d messages:", s.left())
	return s.each(func(i int, dst []byte) ([]byte, error) {
		n, err := s.drop.Size(ctx, i)
		return strconv.AppendInt(dst, n, 10), err
	})
}

// each writes a line for each message and the end of the list.
func (s *session) each(put func(i int, dst []byte) ([]byte, error)) error {
	for i := range s.drop.Len() {
		if s.deleted.has(i) {
			continue
		}
		if err := s.pair(i, func(dst []byte) ([]byte, error) { return put(i, dst) }); err != nil {
			s.failed(err)
			return fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	s.conn.Line([]byte("."))
	return nil
}

func (s *session) left() int { return s.drop.Len() - s.deleted.count() }

// UIDL: RFC 1939 section 7.
func (s *session) uidl(ctx context.Context, arg string) error {
	if arg != "" {
		i, ok := s.only(arg)
		if !ok {
			return nil
		}
		id, err := s.drop.AppendUIDL(ctx, nil, i)
		if err != nil {
			s.tempFault(err)
			return nil
		}
		s.st.UIDLs.Asked = true
		s.conn.Printf("+OK %d %s", i+1, id)
		return nil
	}
	s.conn.Printf("+OK")
	s.st.UIDLs.Asked = true
	return s.each(func(i int, dst []byte) ([]byte, error) { return s.drop.AppendUIDL(ctx, dst, i) })
}

// trackUIDLs fills Stats.UIDLs.
func (s *session) trackUIDLs(ctx context.Context, deleted bitset) {
	u := &s.st.UIDLs
	if !s.opt.TrackUIDLs || !u.Asked {
		return
	}
	u.OldCount = s.drop.Len()
	if s.lowest > 0 {
		u.OldCount = s.lowest - 1
	}
	u.NewCount = s.drop.Len() - deleted.count()
	var id []byte
	for i := range s.drop.Len() {
		var err error
		if id, err = s.drop.AppendUIDL(ctx, id[:0], i); err != nil {
			u.Asked = false
			return
		}
		sum := crc32.ChecksumIEEE(id)
		if i < u.OldCount {
			u.OldHash ^= sum
		}
		if !deleted.has(i) {
			u.NewHash ^= sum
		}
	}
}

// LAST: RFC 1460 section 8; later versions dropped it, old clients ask.
func (s *session) lastCmd(context.Context, string) error {
	if !s.opt.EnableLast {
		s.unknown("LAST")
		return nil
	}
	s.conn.Printf("+OK %d", s.last)
	return nil
}

// RETR: RFC 1939 section 5. At the end of the session the message is marked
// as seen, as Dovecot does.
func (s *session) retr(ctx context.Context, arg string) error {
	i, ok := s.only(arg)
	if !ok {
		return nil
	}
	if s.lowest == 0 || i+1 < s.lowest {
		s.lowest = i + 1
	}
	s.last = max(s.last, i+1)
	s.st.Retr++
	sent, err := s.send(ctx, i, -1)
	s.st.RetrBytes += sent
	if err == nil && sent > 0 && !s.opt.NoFlagUpdates && !s.drop.Seen(i) {
		s.seen.add(i, s.drop.Len())
	}
	return err
}

// TOP: RFC 1939 section 7.
func (s *session) top(ctx context.Context, arg string) error {
	i, rest, ok := s.number(arg, true)
	if !ok {
		return nil
	}
	digits := strings.TrimLeft(rest, "0123456789")
	lines, err := strconv.ParseUint(rest[:len(rest)-len(digits)], 10, 64)
	switch {
	case len(digits) == len(rest):
		s.fault("Invalid size: " + printable(clip(rest)))
		return nil
	case err != nil:
		s.fault("Size too large: " + printable(clip(digits)))
		return nil
	case digits != "":
		s.fault("Noise after size: " + printable(clip(digits)))
		return nil
	}
	s.st.Top++
	sent, err := s.send(ctx, i, int(min(lines, 1<<31)))
	s.st.TopBytes += sent
	return err
}

// send copies a message and counts what the client gets before the last line.
// An error after the first line has gone out ends the session: the client
// could not tell a cut message from a whole one.
func (s *session) send(ctx context.Context, i, lines int) (int64, error) {
	var size int64
	r, err := s.drop.Open(ctx, i)
	if err == nil {
		defer r.Close()
		if lines < 0 {
			size, err = s.drop.Size(ctx, i)
		}
	}
	switch {
	case fail.Is(err, fail.NotFound):
		s.removed(i)
		return 0, nil
	case err != nil:
		s.tempFault(err)
		return 0, nil
	}
	before := s.conn.BytesOut
	if lines < 0 {
		s.line = strconv.AppendInt(append(s.line[:0], "+OK "...), size, 10)
		s.conn.Line(append(s.line, " octets"...))
	} else {
		s.conn.Printf("+OK")
	}
	head := s.conn.BytesOut - before
	sent, err := s.conn.Body(r, wire.BodyOptions{Lines: lines, NoNULs: s.opt.NoNULs, EndHeader: s.opt.EndHeader})
	if err != nil {
		s.failed(err)
		return 0, fmt.Errorf("message %d: %w", i+1, err)
	}
	return head + sent, nil
}

// removed answers for a message that somebody else has expunged. A client that
// goes on asking for such messages has bad commands.
func (s *session) removed(i int) {
	if i+1 <= s.expunged {
		s.bad++
	}
	s.expunged = max(s.expunged, i+1)
	s.conn.Printf("-ERR Message %d expunged.", i+1)
}

// DELE: RFC 1939 section 5.
func (s *session) dele(ctx context.Context, arg string) error {
	i, ok := s.only(arg)
	if !ok {
		return nil
	}
	if n, err := s.drop.Size(ctx, i); err == nil {
		s.gone += n
	}
	s.deleted.add(i, s.drop.Len())
	s.conn.Printf("+OK Marked to be deleted.")
	return nil
}

// RSET: RFC 1939 section 5. Where LAST is on, the marks of being seen go, as
// RFC 1460 wants.
func (s *session) rset(ctx context.Context, _ string) error {
	s.deleted, s.seen, s.last, s.gone = nil, nil, 0, 0
	if s.opt.EnableLast && !s.opt.NoFlagUpdates {
		var list []int
		for i := range s.drop.Len() {
			if s.drop.Seen(i) {
				list = append(list, i)
			}
		}
		if err := s.drop.Mark(ctx, list, false); err != nil {
			s.tempFault(err)
			return nil
		}
	}
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
	list := s.deleted.list(nil)
	s.trackUIDLs(ctx, s.deleted) // before the messages are gone
	err := s.mark(ctx)
	if err == nil && len(list) > 0 {
		err = s.drop.Delete(ctx, list)
	}
	switch {
	case err != nil:
		s.tempFault(err)
		return errStorage
	case len(list) == 0:
		s.conn.Printf("+OK Logging out.")
		return errQuit
	}
	s.st.Deleted, s.st.DeletedBytes = len(list), s.gone
	s.conn.Printf("+OK Logging out, messages deleted.")
	return errQuit
}
