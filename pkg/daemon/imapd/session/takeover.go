package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/handover"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/quota"
)

// handovers takes frames from one connection of the login role, one at a
// time, until it is closed. Sessions go on by themselves.
func (r *role) handovers(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, handover.MaxFrame)
	for {
		frame, stream, err := handover.Receive(conn, buf)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				r.log.Warn("handover failed", obs.Err(err))
			}
			return
		}
		if err := r.takeOver(ctx, conn, frame, stream); err != nil {
			r.log.Warn("handover answer failed", obs.Err(err))
			return
		}
	}
}

// takeOver redeems one login and starts its session. The answer goes out
// before the first byte to the client.
func (r *role) takeOver(ctx context.Context, conn net.Conn, f *handover.Frame, stream net.Conn) error {
	s, err := r.open(ctx, f, stream)
	if err != nil {
		stream.Close()
		r.metrics.handovers.WithLabelValues("refused").Inc()
		r.log.Warn("login could not be served", slog.String("session", f.Session), obs.Err(err))
		return handover.Refuse(conn, reason(err))
	}
	if err := handover.Take(conn, r.pid, r.auth.SealName()); err != nil {
		r.forget(s)
		return err
	}
	r.metrics.handovers.WithLabelValues("taken").Inc()
	if !s.counted {
		r.tooMany(s)
		r.forget(s)
		return nil
	}
	go r.run(s)
	return nil
}

// reason is what the login role may know of a failure: its kind.
func reason(err error) string { return fail.KindOf(err).String() }

// open asks authd who this is and opens the mail.
func (r *role) open(ctx context.Context, f *handover.Frame, stream net.Conn) (*session, error) {
	if r.here.count() >= r.cfg.Limits.Sessions {
		return nil, fail.New(fail.Temporary, "%d sessions are open, the limit of limits.sessions", r.cfg.Limits.Sessions)
	}
	actx, cancel := context.WithTimeout(ctx, time.Duration(r.cfg.AuthWait))
	defer cancel()
	rec, err := r.who(actx, f)
	if err != nil {
		return nil, err
	}
	acfg, err := r.cfg.account(rec, r.folders)
	if err != nil {
		return nil, err
	}
	account, err := r.store.Account(actx, acfg)
	if err != nil {
		return nil, err
	}
	if f.Returnable {
		stream = &handover.Returnable{Conn: stream}
	}
	s := &session{user: rec.User, frame: f, stream: stream, account: account, maildir: acfg.Maildir, started: r.now()}
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(r.ctx))
	s.counted = r.users.Take(s.at(), r.cfg.Limits.PerUser)
	r.here.add(s)
	if r.ctx.Err() != nil { // it may have come too late to be told by sayGoodbye
		s.cancel(netx.ErrShutdown)
	}
	r.metrics.sessions.WithLabelValues(f.Protocol.String()).Inc()
	return s, nil
}

// who is the user of a login, as authd says.
func (r *role) who(ctx context.Context, f *handover.Frame) (userdbclient.UserRecord, error) {
	if f.Sealed != "" {
		return r.auth.Unseal(f.ClientPID, f.RequestID, f.Sealed)
	}
	return r.auth.Redeem(ctx, f.ClientPID, f.RequestID, f.Cookie, 0)
}

// account is how a user's mail is opened; all are the folders that everybody has.
func (c *Config) account(rec userdbclient.UserRecord, all []mailbox.FolderConfig) (mailbox.AccountConfig, error) {
	root, err := rec.Maildir()
	if err != nil {
		return mailbox.AccountConfig{}, err
	}
	rules, err := c.Quota.For(rec.Fields.Lookup)
	if err != nil {
		return mailbox.AccountConfig{}, fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
	}
	warnings, err := quota.ParseWarnings(c.Quota.Warnings)
	if err != nil {
		return mailbox.AccountConfig{}, err // the configuration was checked when it was read
	}
	layout, err := c.Mail.LayoutFor(rec.Layout())
	if err != nil {
		return mailbox.AccountConfig{}, fail.Wrap(fail.Unavailable, err, "user %s", rec.User)
	}
	return mailbox.AccountConfig{
		Layout: layout, Pinned: c.Mail.Pinned,
		User: rec.User, Maildir: root, Mode: c.mode(), Folders: all,
		Quota: rules, MaxMail: int64(c.Quota.MaxMailSize), Warnings: warnings,
	}, nil
}

// at is where the session is counted.
func (s *session) at() userAt {
	return userAt{s.user, s.frame.Protocol, s.frame.Peer.Addr().Unmap()}
}

// tooMany sends a user away who has all the sessions that one may have from
// one address, in the words that clients know from Dovecot.
func (r *role) tooMany(s *session) {
	const text = "Maximum number of connections from user+IP exceeded (mail_max_userip_connections=%d)"
	line := fmt.Sprintf("%s NO [LIMIT] "+text+"\r\n* BYE Too many connections.\r\n", s.frame.Tag, r.cfg.Limits.PerUser)
	if s.frame.Protocol == handover.POP3 {
		line = fmt.Sprintf("-ERR [IN-USE] "+text+"\r\n", r.cfg.Limits.PerUser)
	}
	_ = s.stream.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = s.stream.Write([]byte(line))
	r.log.Warn("too many sessions of a user from one address", slog.String(obs.KeyUser, s.user), slog.String(obs.KeyPeer, s.frame.Peer.Addr().String()))
}

// forget undoes open.
func (r *role) forget(s *session) {
	if s.counted {
		r.users.Give(s.at())
	}
	s.cancel(nil)
	s.stream.Close()
	if err := s.account.Close(); err != nil {
		r.log.Error("mail could not be flushed", slog.String(obs.KeyUser, s.user), obs.Err(err))
	}
	r.metrics.sessions.WithLabelValues(s.frame.Protocol.String()).Dec()
	r.here.remove(s)
}
