package login

import (
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"
)

// sessionID makes the id that ties the log lines of one connection together,
// in Dovecot's form: 48 bits of microseconds, the peer's port and its address
// in base64. A port cannot connect twice in one microsecond.
func sessionID(now time.Time, peer netip.AddrPort) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(now.UnixMicro()))
	id := binary.LittleEndian.AppendUint16(b[:6:6], peer.Port())
	return base64.StdEncoding.EncodeToString(append(id, peer.Addr().AsSlice()...))
}
