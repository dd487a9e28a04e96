package authserver

import (
	"net"
	"sync"
	"time"
)

// output serialises replies. A peer that does not read loses its connection,
// it does not hold up requests.
type output struct {
	nc      net.Conn
	timeout time.Duration
	mu      sync.Mutex
}

func (o *output) send(lines []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.nc.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.nc.Write(lines)
	if err != nil {
		_ = o.nc.Close()
	}
	return err
}
