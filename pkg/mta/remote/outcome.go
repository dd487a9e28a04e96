package remote

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// Status is the fate of one recipient in one attempt.
type Status uint8

// The statuses. The zero value is the harmless one.
const (
	Deferred  Status = iota // try again later
	Delivered               // the next hop took responsibility
	Bounced                 // will never work
)

// String returns the word Postfix logs after status=.
func (s Status) String() string {
	switch s {
	case Delivered:
		return "sent"
	case Bounced:
		return "bounced"
	}
	return "deferred"
}

// Outcome is the result for one recipient.
type Outcome struct {
	Status Status
	DSN    smtp.EnhancedCode
	Text   string // what stands in parentheses in the log and the DSN
	Relay  string // "host[ip]:25", "myself[/socket]" or "none"
	Host   string // name of the peer, for Remote-MTA; "" when nobody was reached
	Reply  string // the peer's reply as it came, for Diagnostic-Code; "" when it said nothing
	// Site says that the destination as a whole is at fault (no connection,
	// broken greeting, lost connection, 421): other mail for it should wait.
	Site     bool
	ConnUse  int           // how many transactions the connection has carried, this one included
	Connect  time.Duration // DNS, connecting, greeting, TLS, EHLO
	Transfer time.Duration // from MAIL to the final reply
	// DSNOffered says that the peer announced DSN and so got the recipient's
	// NOTIFY parameter: a Delivered recipient is its to report on.
	DSNOffered bool
	TLS        string // "TLSv1.3 TLS_AES_128_GCM_SHA256", "" in the clear
}

// Code returns "4.4.1".
func (o Outcome) Code() string {
	return strconv.Itoa(o.DSN[0]) + "." + strconv.Itoa(o.DSN[1]) + "." + strconv.Itoa(o.DSN[2])
}

// trouble is why a host, or all of them, did not work. A trouble with Status
// Deferred lets the attempt go on to the next host.
type trouble struct {
	Status Status
	DSN    smtp.EnhancedCode
	Text   string
	Site   bool
	Reply  string
}

func (t trouble) outcome() Outcome {
	return Outcome{Status: t.Status, DSN: t.DSN, Text: t.Text, Relay: "none", Site: t.Site, Reply: t.Reply}
}

func deferral(subject, detail int, text string) trouble {
	return trouble{Status: Deferred, DSN: smtp.EnhancedCode{4, subject, detail}, Text: text, Site: true}
}

func failure(subject, detail int, text string) trouble {
	return trouble{Status: Bounced, DSN: smtp.EnhancedCode{5, subject, detail}, Text: text}
}

// systemText gives a network error the wording of strerror(3), which log
// parsers know from Postfix.
func systemText(err error) string {
	var errno syscall.Errno
	var dns *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &errno):
		if s, ok := errnoText(errno); ok {
			return s
		}
		return errno.Error()
	case errors.Is(err, context.Canceled):
		return "Operation canceled"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "Connection timed out"
	case errors.As(err, &dns):
		return "Host not found"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "Connection closed"
	}
	return err.Error()
}

func errnoText(e syscall.Errno) (string, bool) {
	switch e {
	case syscall.ECONNREFUSED:
		return "Connection refused", true
	case syscall.ECONNRESET:
		return "Connection reset by peer", true
	case syscall.ETIMEDOUT:
		return "Connection timed out", true
	case syscall.EHOSTUNREACH:
		return "No route to host", true
	case syscall.ENETUNREACH:
		return "Network is unreachable", true
	case syscall.EADDRNOTAVAIL:
		return "Cannot assign requested address", true
	case syscall.ENOENT:
		return "No such file or directory", true
	case syscall.EACCES:
		return "Permission denied", true
	case syscall.EPIPE:
		return "Broken pipe", true
	}
	return "", false
}

// isTimeout tells "timed out" from "lost connection".
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
}
