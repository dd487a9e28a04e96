package netx

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// firstFD is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstFD = 3

// maxFDs bounds what is believed of LISTEN_FDS.
const maxFDs = 1024

// Inherited holds the descriptors that the service manager handed over. A nil
// *Inherited holds none.
type Inherited struct {
	mu    sync.Mutex
	files map[string][]*os.File
}

// InheritedFDs takes over the descriptors described by LISTEN_PID, LISTEN_FDS
// and LISTEN_FDNAMES and removes these variables, so that it finds them once.
func InheritedFDs() (*Inherited, error) {
	pid, fds, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(v)
	}
	n, err := parseInherit(pid, fds, os.Getpid())
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, n)
	for i := range n {
		unix.CloseOnExec(firstFD + i)
		_ = unix.SetNonblock(firstFD+i, true)
		files[i] = os.NewFile(uintptr(firstFD+i), "inherited")
	}
	return NewInherited(files, strings.Split(names, ":")), nil
}

func parseInherit(pid, fds string, self int) (int, error) {
	if fds == "" || pid == "" {
		return 0, nil
	}
	if p, err := strconv.Atoi(pid); err != nil || p != self {
		return 0, nil // meant for another process, see sd_listen_fds(3)
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > maxFDs {
		return 0, fail.New(fail.Invalid, "LISTEN_FDS=%q is not a number of descriptors", fds)
	}
	return n, nil
}

// NewInherited gives names to files; one without a name is called "unknown",
// as systemd does.
func NewInherited(files []*os.File, names []string) *Inherited {
	in := &Inherited{files: map[string][]*os.File{}}
	for i, f := range files {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		in.files[name] = append(in.files[name], f)
	}
	return in
}

// Names lists the names of descriptors that nobody has opened yet.
func (in *Inherited) Names() []string {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	var names []string
	for name := range in.files {
		names = append(names, name)
	}
	return names
}

// take removes and returns the files of one name.
func (in *Inherited) take(name string) []*os.File {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	files := in.files[name]
	delete(in.files, name)
	return files
}

// listener turns the descriptors of one name into a listener. Unix sockets
// must be of the type that network names.
func (in *Inherited) listener(name, network string) (net.Listener, error) {
	files := in.take(name)
	if len(files) == 0 {
		return nil, fail.New(fail.NotFound, "no descriptor of this name was handed over (FileDescriptorName= in the socket unit)")
	}
	var all []net.Listener
	var first error
	for _, f := range files {
		l, err := net.FileListener(f) // holds a descriptor of its own
		_ = f.Close()
		if err == nil {
			if got := l.Addr().Network(); strings.HasPrefix(got, "unix") && got != network || network == "unixpacket" && got != network {
				_ = l.Close()
				err = fail.New(fail.Invalid, "the socket is of type %s, need %s", got, network)
			}
		}
		if err != nil {
			first = err
			continue
		}
		all = append(all, inheriting(l))
	}
	if first != nil {
		for _, l := range all {
			_ = l.Close()
		}
		return nil, first
	}
	return newMany(all), nil
}
