package netx

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// oobFDs is how many descriptors fit into the control buffer. More than one
// is a violation; the room is there to receive and close them.
const oobFDs = 16

// SendFrame sends one packet with exactly one descriptor over a unixpacket
// connection. The descriptor stays open here; *os.File and the connections of
// package net are fit to be sent.
func SendFrame(conn net.Conn, frame []byte, what syscall.Conn) error {
	uc, ok := Base(conn).(*net.UnixConn)
	if !ok {
		return fail.New(fail.Invalid, "%T cannot carry a descriptor", conn)
	}
	raw, err := what.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	var serr error
	// Control keeps the descriptor from being closed meanwhile, and does not
	// make it blocking as Fd() would.
	err = raw.Control(func(fd uintptr) {
		n, _, serr = uc.WriteMsgUnix(frame, unix.UnixRights(int(fd)), nil)
	})
	if err == nil {
		err = serr
	}
	if err == nil && n != len(frame) {
		err = io.ErrShortWrite
	}
	return err
}

// RecvFrame receives one packet, into buf, with exactly one descriptor,
// close-on-exec and not blocking. io.EOF means that the peer is gone. A packet
// that is longer than buf, or that carries no or several descriptors, is an
// error of kind Invalid, and what it carried is closed.
func RecvFrame(conn net.Conn, buf []byte) ([]byte, *os.File, error) {
	frame, fds, err := recv(conn, buf)
	if err == nil && len(fds) != 1 {
		err = fail.New(fail.Invalid, "packet carries %d descriptors, not one", len(fds))
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	_ = unix.SetNonblock(fds[0], true) // else a peer could tie up our threads
	return frame, os.NewFile(uintptr(fds[0]), "received"), nil
}

// RecvPacket is RecvFrame for packets without a descriptor.
func RecvPacket(conn net.Conn, buf []byte) ([]byte, error) {
	frame, fds, err := recv(conn, buf)
	if err == nil && len(fds) != 0 {
		err = fail.New(fail.Invalid, "packet carries %d descriptors, none is expected", len(fds))
	}
	if err != nil {
		closeAll(fds)
		return nil, err
	}
	return frame, nil
}

func recv(conn net.Conn, buf []byte) (frame []byte, fds []int, err error) {
	uc, ok := Base(conn).(*net.UnixConn)
	if !ok {
		return nil, nil, fail.New(fail.Invalid, "%T cannot carry a descriptor", conn)
	}
	oob := make([]byte, unix.CmsgSpace(oobFDs*4))
	n, oobn, flags, _, err := uc.ReadMsgUnix(buf, oob) // sets MSG_CMSG_CLOEXEC
	fds, perr := parseRights(oob[:max(oobn, 0)])
	switch {
	case errors.Is(err, io.EOF):
		return nil, fds, io.EOF
	case err != nil:
		return nil, fds, err
	case perr != nil:
		return nil, fds, fail.Wrap(fail.Invalid, perr, "control message")
	case flags&unix.MSG_CTRUNC != 0:
		return nil, fds, fail.New(fail.Invalid, "control message was cut")
	case flags&unix.MSG_TRUNC != 0:
		return nil, fds, fail.New(fail.Invalid, "packet is longer than %d bytes", len(buf))
	case n == 0 && len(fds) == 0:
		return nil, nil, io.EOF // an empty packet says nothing either
	}
	return buf[:n], fds, nil
}

// parseRights returns all descriptors, also when it returns an error. It does
// not trust package unix with lengths: that reads past what is shorter than a
// header and panics when the data is no multiple of four.
func parseRights(oob []byte) (fds []int, err error) {
	for len(oob) > 0 {
		if len(oob) < unix.SizeofCmsghdr {
			return fds, fail.New(fail.Invalid, "%d bytes too many", len(oob))
		}
		h, data, rest, perr := unix.ParseOneSocketControlMessage(oob)
		if perr != nil {
			return fds, perr
		}
		oob = rest
		if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_RIGHTS || len(data)%4 != 0 {
			err = fail.New(fail.Invalid, "unexpected type %d with %d bytes", h.Type, len(data))
			continue
		}
		for ; len(data) > 0; data = data[4:] {
			fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
		}
	}
	return fds, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
