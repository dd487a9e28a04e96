// Package obs is what a daemon tells the outside: log events and metrics.
//
// An event is a type, declared in an events.go beside the code that emits it.
// It knows its fixed phrase, its facts and its Postfix or Dovecot rendering;
// this package turns it into one line in the style the operator chose:
//
//	json      one JSON object per line, keys in a fixed order; lines that only
//	          an imitated program needs are left out (see Logger.Echoes)
//	classic   the text that Postfix or Dovecot would have written, for the
//	          programs that parse it (fail2ban, pflogsumm, logwatch)
//	journald  native journal fields, MESSAGE readable by people
//
// Invariants: one event is one line, whatever bytes its values hold (control
// characters are escaped); a log that cannot be written never stops or slows
// the daemon for more than a second, and lost lines are counted; a line below
// a warning that goes to a stream or file stands there 5 ms later at the latest,
// so that a crash loses no more; label values of metrics come from closed
// lists, never a user or a domain.
//
// Reading order: obs.go (Event, Config, Logger), attr.go (facts common to all
// daemons), text.go, json.go, classic.go, journald.go (the three styles), sink.go
// (where lines go), gather.go (many lines in one write), record.go (for tests),
// metrics.go, health.go.
package obs
