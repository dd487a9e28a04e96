package suite

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// socket is one deploy/systemd/*.socket, opened.
type socket struct {
	Unit, Service, FDName string
	Network, Address      string // "tcp" or "unix"/"unixpacket"
	User, Group           string
	Mode                  os.FileMode
	file                  *os.File
}

// readUnits parses the socket units below deploy/systemd, moved into the suite.
func (s *Suite) readUnits() ([]*socket, error) {
	files, err := filepath.Glob(filepath.Join(s.Repo, "deploy/systemd/*.socket"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no socket units in %s/deploy/systemd (%v)", s.Repo, err)
	}
	sort.Strings(files)
	var all []*socket
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		k, err := s.parseUnit(filepath.Base(f), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func (s *Suite) parseUnit(name, text string) (*socket, error) {
	k := &socket{Unit: name, Mode: 0o666}
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "ListenStream", "ListenSequentialPacket":
			s.setAddress(k, key, value)
		case "FileDescriptorName":
			k.FDName = value
		case "SocketUser":
			k.User = value
		case "SocketGroup":
			k.Group = value
		case "SocketMode":
			m, err := strconv.ParseUint(value, 8, 32)
			if err != nil {
				return nil, fmt.Errorf("%s: SocketMode=%s", name, value)
			}
			k.Mode = os.FileMode(m)
		case "Service":
			k.Service = strings.TrimSuffix(value, ".service")
		}
	}
	if k.Address == "" || k.FDName == "" || k.Service == "" {
		return nil, fmt.Errorf("%s: incomplete socket unit", name)
	}
	return k, nil
}

func (s *Suite) setAddress(k *socket, key, value string) {
	if port, err := strconv.Atoi(value); err == nil {
		k.Network, k.Address = "tcp", s.Addr(port)
		return
	}
	k.Network, k.Address = "unix", s.move(value)
	if key == "ListenSequentialPacket" {
		k.Network = "unixpacket"
	}
}

func (s *Suite) openSockets() error {
	units, err := s.readUnits()
	if err != nil {
		return err
	}
	for _, k := range units {
		if err := s.open(k); err != nil {
			return fmt.Errorf("%s: %w", k.Unit, err)
		}
		s.sockets = append(s.sockets, k)
	}
	return nil
}

func (s *Suite) open(k *socket) error {
	var l net.Listener
	var err error
	if k.Network == "tcp" {
		l, err = s.listen(k.Address)
	} else {
		if err = os.Remove(k.Address); err != nil && !os.IsNotExist(err) {
			return err
		}
		l, err = net.Listen(k.Network, k.Address)
	}
	if err != nil {
		return err
	}
	defer l.Close()
	switch l := l.(type) {
	case *net.TCPListener:
		k.file, err = l.File()
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
		if k.file, err = l.File(); err == nil {
			err = s.own(k)
		}
	}
	return err
}

// own gives the socket file the mode and, under root with users, the owner
// that its unit names.
func (s *Suite) own(k *socket) error {
	if err := os.Chmod(k.Address, k.Mode); err != nil || !s.AsUsers || k.User == "" {
		return err
	}
	uid, gid, err := ids(k.User, k.Group)
	if err != nil {
		return err
	}
	return os.Chown(k.Address, uid, gid)
}

func (s *Suite) closeSockets() {
	for _, k := range s.sockets {
		if k.file != nil {
			k.file.Close()
		}
	}
	s.sockets = nil
}

// ids looks up a user and a group; an empty group is the user's own.
func ids(name, group string) (uid, gid int, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return 0, 0, err
		}
		gid, _ = strconv.Atoi(g.Gid)
	}
	return uid, gid, nil
}

// credential is the identity that a process's unit gives it.
func credential(name string) (*syscall.Credential, error) {
	uid, gid, err := ids(name, "")
	if err != nil {
		return nil, err
	}
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil, err
	}
	list, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range list {
		n, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, uint32(n))
	}
	return c, nil
}

// UsersExist reports whether every user of the suite is known to the system.
func UsersExist() bool {
	for _, n := range Names {
		if _, err := user.Lookup(n); err != nil {
			return false
		}
	}
	return true
}
