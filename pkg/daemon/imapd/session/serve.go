package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/imapd/folders"
	"github.com/postcote/postcote/pkg/daemon/imapd/maildrop"
	"github.com/postcote/postcote/pkg/daemon/imapd/namespace"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/mailbox/feed"
)

// session is one client after login.
type session struct {
	id      uint64 // within the register
	user    string
	frame   *handover.Frame
	stream  net.Conn
	account *mailbox.Account
	maildir string
	started time.Time
	counted bool // against limits.per_user_and_address
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

// run serves the session: one of POP3 to its end, one of IMAP until it is
// parked, or to its end. A panic ends this session only.
func (r *role) run(s *session) {
	if s.frame.Protocol == handover.IMAP {
		r.runIMAP(s)
		return
	}
	defer r.forget(s)
	defer r.caught(s)
	r.runPOP3(s)
	r.expire(s)
}

// caught ends a panic in a session.
func (r *role) caught(s *session) {
	if v := recover(); v != nil {
		r.log.Error("panic in a session", slog.String(obs.KeyUser, s.user), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	}
}

// expireLimit bounds what the end of a session has to remove.
const expireLimit = time.Minute

// expire removes what the folders' configuration says, as Dovecot does when a
// session ends; when the daemon stops it can wait for the next one.
func (r *role) expire(s *session) {
	list := folders.Expiring(r.cfg.Folders)
	if len(list) == 0 || r.ctx.Err() != nil {
		return
	}
	s.stream.Close() // nobody waits for it
	ctx, cancel := context.WithTimeout(r.ctx, expireLimit)
	defer cancel()
	for _, f := range list {
		n, err := f.Expire(ctx, s.account, r.now())
		if err != nil {
			r.log.Error("messages could not be removed by age or number", slog.String(obs.KeyUser, s.user), slog.String("folder", f.Name), obs.Err(err))
			continue
		}
		if n > 0 {
			r.log.Info("messages removed by age or number", slog.String(obs.KeyUser, s.user), slog.String("folder", f.Name), slog.Int("messages", n))
		}
	}
}

func (r *role) runIMAP(s *session) {
	names := namespace.New(r.cfg.IMAP.Namespace, s.account.Separator())
	start := server.Start{
		Tag: s.frame.Tag, Buffered: s.frame.Buffered,
		Account: imapAccount{s.account, names, &r.scans}, Delim: s.account.Separator(), Prefix: names.String(), Shared: s.account.Shared(),
		Identified: func(text string) { r.log.Log(imapIdentified{r.facts(s), text}) },
		Failed: func(verb string, err error) {
			r.log.Error("command failed", slog.String(obs.KeyUser, s.user), slog.String(obs.KeyConn, s.frame.Session),
				slog.String(obs.KeyCmd, verb), obs.Err(err))
		},
	}
	if stream, returnable := s.stream.(*handover.Returnable); returnable {
		start.Back = func(buffered []byte) {
			if err := stream.Return(buffered); err != nil {
				r.log.Warn("a client could not be given back", slog.String(obs.KeyUser, s.user), obs.Err(err))
			}
		}
	}
	r.imap.Begin(feed.As(s.ctx, s), s.stream, start, func(sum server.Summary) { r.endIMAP(s, sum) })
}

// endIMAP is called when a session of IMAP is over.
func (r *role) endIMAP(s *session, sum server.Summary) {
	defer r.forget(s)
	defer r.caught(s)
	var crash *server.Fault
	if errors.As(sum.Err, &crash) {
		r.log.Error("panic in a session", slog.String(obs.KeyUser, s.user), slog.Any("panic", crash.Value), slog.String("stack", string(crash.Stack)))
	}
	r.log.Log(imapClosed{r.facts(s), sum})
	r.expire(s)
}

func (r *role) runPOP3(s *session) {
	if r.rules.LockSession {
		shared := ""
		if s.account.Shared() {
			shared = s.maildir
		}
		give, err := r.locks.Take(s.ctx, r.fs, s.user, shared)
		if err != nil {
			r.refusePOP3(s, err)
			return
		}
		defer give()
	}
	box, err := s.account.Open(s.ctx, "INBOX")
	var drop *maildrop.Drop
	if err == nil {
		defer box.Close()
		drop, err = maildrop.Open(s.ctx, box, &r.rules)
	}
	if err != nil {
		r.refusePOP3(s, err)
		return
	}
	wait := func() error { return netx.WaitReadable(s.stream) }
	o := pop3.Options{
		Pools: r.pop3, Buffered: s.frame.Buffered, Wait: wait, Session: s.frame.Session, Goodbye: goodbye,
		InactiveAfter: time.Duration(r.cfg.Limits.POP3Inactive), MaxBad: r.cfg.Limits.BadCommands,
		Failed: func(err error) {
			r.log.Error("command failed", slog.String(obs.KeyUser, s.user), slog.String(obs.KeyConn, s.frame.Session), obs.Err(err))
		},
	}
	r.rules.Apply(&o)
	st := pop3.Run(s.ctx, s.stream, drop, o)
	r.log.Log(pop3Closed{r.facts(s), st, r.rules.Words(st)})
}

// goodbye is what a client hears when its session is ended from here.
func goodbye(cause error) string {
	if errors.Is(cause, errKicked) {
		return errKicked.Error()
	}
	return "Server shutting down."
}

// refusePOP3 answers the login of a session that cannot begin.
func (r *role) refusePOP3(s *session, err error) {
	line := "-ERR [SYS/TEMP] Couldn't open INBOX.\r\n"
	if errors.Is(err, maildrop.ErrInUse) {
		line = "-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n"
		r.log.Warn("another POP3 session holds the mailbox", slog.String(obs.KeyUser, s.user), slog.String(obs.KeyConn, s.frame.Session))
	} else {
		r.log.Error("INBOX could not be opened", slog.String(obs.KeyUser, s.user), obs.Err(err))
	}
	_ = s.stream.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.stream.Write([]byte(line))
}

func (r *role) facts(s *session) facts {
	return facts{
		user: s.user, pid: r.pid, session: s.frame.Session, peer: s.frame.Peer.Addr().Unmap(),
		tls: strings.TrimSpace(s.frame.TLSVersion + " " + s.frame.TLSCipher), took: r.now().Sub(s.started),
	}
}
