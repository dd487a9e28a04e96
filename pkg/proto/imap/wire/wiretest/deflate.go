package wiretest

import (
	"compress/flate"
	"io"
	"net"
)

// Deflated is the client's side of a connection on which both sides compress,
// each write for itself.
func Deflated(conn net.Conn) net.Conn {
	w, err := flate.NewWriter(conn, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &deflated{conn, flate.NewReader(conn), w}
}

type deflated struct {
	net.Conn
	r io.Reader
	w *flate.Writer
}

func (d *deflated) Read(p []byte) (int, error) { return d.r.Read(p) }

func (d *deflated) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	if err == nil {
		err = d.w.Flush()
	}
	return n, err
}
