package authd

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
)

// peerOf is who connected; unknown over TCP.
func peerOf(conn net.Conn) authserver.Peer {
	cred, err := netx.Peer(conn)
	if err != nil {
		return authserver.Peer{UID: -1, GID: -1}
	}
	return authserver.Peer{UID: int(cred.UID), GID: int(cred.GID), PID: int(cred.PID)}
}

// owner is of a Unix socket that everybody can connect to, so that its other
// peers are told about themselves only; nil of sockets whose peers are chosen.
type owner struct{ uid, gid int }

func ownerOf(l net.Listener, spec conf.Listen) *owner {
	at, ok := l.Addr().(*net.UnixAddr)
	if !ok || len(spec.Allow) > 0 {
		return nil
	}
	var st unix.Stat_t
	if unix.Stat(at.Name, &st) != nil || st.Mode&0o777 != authserver.OpenMode {
		return nil
	}
	return &owner{int(st.Uid), int(st.Gid)}
}

func (o *owner) restricts(p authserver.Peer) bool {
	return o != nil && p.UID != o.uid && p.GID != o.gid
}
