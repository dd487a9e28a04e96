package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// maxAnswer bounds the packet of an Answer.
const maxAnswer = MaxWhy + MaxSeal + 16

// Offer sends f with the descriptor of stream over a unixpacket connection
// to the session role and waits for its answer. A refusal, and everything
// that goes wrong on the way, is an error of kind Unavailable, and stream is
// the caller's as before. On success the caller closes its own copy of stream
// without writing to it.
func Offer(ctx context.Context, conn net.Conn, f *Frame, stream syscall.Conn) (Answer, error) {
	a, _, err := exchange(ctx, conn, f, stream)
	if err != nil {
		return Answer{}, err
	}
	return a, a.refusal()
}

// exchange is Offer without a refusal being an error. fit says that conn may be
// used again.
func exchange(ctx context.Context, conn net.Conn, f *Frame, stream syscall.Conn) (a Answer, fit bool, err error) {
	packet, err := f.Append(make([]byte, 0, 256))
	if err != nil {
		return Answer{}, true, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := netx.SendFrame(conn, packet, stream); err != nil {
		return Answer{}, false, fail.Wrap(fail.Unavailable, err, "handing over to the session role")
	}
	reply, err := netx.RecvPacket(conn, make([]byte, maxAnswer))
	if err != nil {
		return Answer{}, false, fail.Wrap(fail.Unavailable, err, "waiting for the session role")
	}
	if a, err = ParseAnswer(reply); err != nil {
		return Answer{}, false, fail.Wrap(fail.Unavailable, err, "answer of the session role")
	}
	return a, stop(), nil
}

func (a Answer) refusal() error {
	if a.Taken {
		return nil
	}
	return fail.New(fail.Unavailable, "the session role refused the connection: %s", a.Why)
}

// Receive waits for a frame and its stream. io.EOF means that the peer has
// no more. An error of kind Invalid means a peer that does not keep to the
// protocol: close conn. The caller answers with Take or Refuse, in this order
// before anything is written to the stream. buf, of MaxFrame bytes, is free
// again afterwards.
func Receive(conn net.Conn, buf []byte) (*Frame, net.Conn, error) {
	packet, file, err := netx.RecvFrame(conn, buf)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil, io.EOF
		}
		return nil, nil, err
	}
	f, err := Parse(packet)
	if err != nil {
		_ = file.Close()
		return nil, nil, err
	}
	stream, err := netx.StreamConn(file)
	if err != nil {
		return nil, nil, err
	}
	return f, stream, nil
}

// Take tells the login role that process pid serves the session, and by which
// key logins may be sealed for it; seal may be empty.
func Take(conn net.Conn, pid int, seal string) error {
	return answer(conn, Answer{Taken: true, PID: uint32(pid), Seal: seal})
}

// Refuse tells the login role to send the client away for now; why is for its
// log and is cut to what fits.
func Refuse(conn net.Conn, why string) error {
	clean := make([]byte, 0, MaxWhy)
	for _, c := range []byte(why) {
		if len(clean) == MaxWhy {
			break
		}
		if c < 0x20 || c > 0x7E {
			c = '?'
		}
		clean = append(clean, c)
	}
	return answer(conn, Answer{Why: string(clean)})
}

func answer(conn net.Conn, a Answer) error {
	packet, err := a.Append(nil)
	if err != nil {
		return err
	}
	_, err = conn.Write(packet)
	return err
}
