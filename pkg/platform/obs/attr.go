package obs

import "log/slog"

// Keys of the facts common to all daemons. A fact always has the same key, so
// that a search for one qid tells the life of a message across daemons.
const (
	KeyConn   = "conn"   // connection id
	KeyQID    = "qid"    // queue id, follows the message through all daemons
	KeyMsgID  = "msgid"  // Message-ID header
	KeyFrom   = "from"   // envelope sender
	KeyRcpt   = "rcpt"   // envelope recipient
	KeyUser   = "user"   // authenticated or target user
	KeyPeer   = "peer"   // remote address
	KeyTLS    = "tls"    // version and cipher
	KeyCmd    = "cmd"    // protocol command
	KeyCode   = "code"   // protocol reply code
	KeyDSN    = "dsn"    // enhanced status code
	KeyRelay  = "relay"  // next hop
	KeyDelay  = "delay"  // time spent
	KeySize   = "size"   // bytes
	KeyFolder = "folder" // mailbox
	KeyUID    = "uid"    // message UID
	KeyErr    = "err"    // cause; a value of type error also yields kind
	KeyKind   = "kind"   // kind of the error, see package fail
)

// Err is the cause of a failure; renderers add the error's kind beside it.
func Err(err error) slog.Attr { return slog.Any(KeyErr, err) }

// Line is the untyped event behind Logger.Info and its sisters.
type Line struct {
	Severity slog.Level
	Text     string
	Facts    []slog.Attr
}

// Event returns the text of the line.
func (l Line) Event() string { return l.Text }

// Level returns the severity of the line.
func (l Line) Level() slog.Level { return l.Severity }

// Attrs returns the facts of the line.
func (l Line) Attrs() []slog.Attr { return l.Facts }

// Classic leaves the rendering to the logger, which knows the daemon's name.
func (l Line) Classic() (tag, text string) { return "", "" }
