package program

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Run has a helper deliver a message. Errors: fail.Unavailable when it is not
// known how the program ended, or whether it ran at all; with fail.Corrupt the
// message could not be read.
func Run(ctx context.Context, socket string, r Request, body io.Reader) (Reply, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return Reply{}, fail.Wrap(fail.Unavailable, err, "helper")
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	out := bufio.NewWriterSize(conn, maxChunk)
	_, _ = out.Write(r.Append(nil))
	err = writeChunks(out, body)
	var cut errCut
	if errors.As(err, &cut) {
		return Reply{}, fail.Wrap(fail.Corrupt, cut.error, "reading the message")
	}
	// A program may end before it has read everything; its answer counts.
	reply, rerr := readReply(bufio.NewReader(conn))
	switch {
	case rerr == nil:
		return reply, nil
	case err != nil:
		rerr = err
	}
	return Reply{}, fail.Wrap(fail.Unavailable, rerr, "helper %s ended without an answer", socket)
}
