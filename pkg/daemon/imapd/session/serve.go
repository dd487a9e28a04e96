package session

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// session is one client after login.
type session struct {
	id      uint64 // within the register
	user    string
	frame   *handover.Frame
	stream  net.Conn
	account *mailbox.Account
	started time.Time
	counted bool // against limits.per_user_and_address
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stop    func() bool
}

// run serves the session to its end. A panic ends this session only.
func (r *role) run(s *session) {
	defer r.forget(s)
	defer func() {
		if v := recover(); v != nil {
			r.log.Error("panic in a session", slog.String(obs.KeyUser, s.user), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
	}()
	if s.frame.Protocol == handover.POP3 {
		r.runPOP3(s)
		return
	}
	r.runIMAP(s)
}

func (r *role) runIMAP(s *session) {
	sum := r.imap.Serve(s.ctx, s.stream, server.Start{
		Tag: s.frame.Tag, Buffered: s.frame.Buffered,
		Account: imapAccount{s.account}, Delim: s.account.Separator(), Shared: s.account.Shared(),
		Failed: func(verb string, err error) {
			r.log.Error("command failed", slog.String(obs.KeyUser, s.user), slog.String(obs.KeyConn, s.frame.Session),
				slog.String(obs.KeyCmd, verb), obs.Err(err))
		},
	})
	var crash *server.Fault
	if errors.As(sum.Err, &crash) {
		r.log.Error("panic in a session", slog.String(obs.KeyUser, s.user), slog.Any("panic", crash.Value), slog.String("stack", string(crash.Stack)))
	}
	r.log.Log(imapClosed{r.facts(s), sum})
}

func (r *role) runPOP3(s *session) {
	box, err := s.account.Open(s.ctx, "INBOX")
	var drop *maildrop
	if err == nil {
		defer box.Close()
		drop, err = newMaildrop(s.ctx, box)
	}
	if err != nil {
		r.log.Error("INBOX could not be opened", slog.String(obs.KeyUser, s.user), obs.Err(err))
		_ = s.stream.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = s.stream.Write([]byte("-ERR [SYS/TEMP] Couldn't open INBOX.\r\n"))
		return
	}
	wait := func() error { return netx.WaitReadable(s.stream) }
	st := pop3.Run(s.ctx, s.stream, drop, pop3.Options{
		Pools: r.pop3, Buffered: s.frame.Buffered, Wait: wait,
		InactiveAfter: time.Duration(r.cfg.Limits.POP3Inactive), MaxBad: r.cfg.Limits.BadCommands,
	})
	r.log.Log(pop3Closed{r.facts(s), st})
}

func (r *role) facts(s *session) facts {
	return facts{
		user: s.user, pid: r.pid, session: s.frame.Session, peer: s.frame.Peer.Addr().Unmap(),
		tls: strings.TrimSpace(s.frame.TLSVersion + " " + s.frame.TLSCipher), took: r.now().Sub(s.started),
	}
}
