package session

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/hint"
	"github.com/postcote/postcote/pkg/store/mailbox"
)

// hints takes deliverd's packets from one connection. After a gap every open
// account is looked at again.
func (r *role) hints(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var track hint.Tracker
	buf := make([]byte, hint.MaxPacket)
	for {
		packet, err := netx.RecvPacket(conn, buf)
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				r.log.Debug("events connection ended", obs.Err(err))
			}
			return
		}
		h, err := hint.Parse(packet)
		if err != nil {
			r.log.Warn("event refused", obs.Err(err))
			return // a peer that does not keep to the protocol
		}
		if track.See(h) {
			r.metrics.hints.WithLabelValues("gap").Inc()
			for _, user := range r.store.Accounts() {
				r.store.Hint(user, mailbox.Hint{Folder: "INBOX"})
			}
		}
		r.metrics.hints.WithLabelValues("taken").Inc()
		r.store.Hint(h.User, mailbox.Hint{Folder: h.Mailbox, File: h.File, Size: h.Size, VSize: h.VSize})
	}
}
