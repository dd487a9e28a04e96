package control

import (
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// peerOf asks the kernel who connected and decides about the class Admin.
// Supplementary groups come from the user database and not from the peer's
// pid, which another process may have by now.
func (s *Server) peerOf(conn net.Conn) (Peer, error) {
	cred, err := netx.Peer(conn)
	if err != nil {
		return Peer{}, err
	}
	p := Peer{UID: cred.UID, GID: cred.GID, PID: cred.PID}
	p.Admin = p.UID == 0 || int(p.UID) == os.Getuid() || s.inAdminGroup(p)
	return p, nil
}

func (s *Server) inAdminGroup(p Peer) bool {
	if s.AdminGroup == "" {
		return false
	}
	groups, err := groupsOf(p)
	if err != nil {
		return false
	}
	group, err := user.LookupGroup(s.AdminGroup)
	return err == nil && slices.Contains(groups, group.Gid)
}

// groupsOf lists the ids of a peer's groups.
func groupsOf(p Peer) ([]string, error) {
	primary := strconv.FormatUint(uint64(p.GID), 10)
	u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10))
	if err != nil {
		return []string{primary}, nil // a uid without an entry has no further groups
	}
	more, err := u.GroupIds()
	if err != nil {
		return nil, fail.Wrap(fail.Temporary, err, "groups of user %s", u.Username)
	}
	return append(more, primary), nil
}
