package localmail

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/mta/gate"
	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// Policy decides about submissions of local users. It is safe for concurrent
// use.
type Policy struct {
	now func() time.Time
	// Has reports whether a message is still in the queue; nil: until Removed.
	// Operators delete messages, of which nobody hears.
	Has func(queue.ID) bool

	mu    sync.Mutex
	cfg   Submit
	users map[int]*usage
	owner map[queue.ID]int // of messages in the queue, for those with limits
}

// usage is what one user does.
type usage struct {
	minute    time.Time // since when messages are counted
	count     int
	queued    int
	recounted time.Time
}

// maxUsers caps the users whose rate is remembered; beyond it the idle ones
// are forgotten.
const maxUsers = 10000

// NewPolicy makes a policy.
func NewPolicy(cfg Submit, now func() time.Time) *Policy {
	return &Policy{cfg: cfg, now: now, users: map[int]*usage{}, owner: map[queue.ID]int{}}
}

// Reload takes over a new configuration.
func (p *Policy) Reload(cfg Submit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg = cfg
}

func (p *Policy) config() Submit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg
}

func refuse(code int, class, subject, detail int, text string) gate.Verdict {
	v := gate.Verdict{Action: gate.Reject, Code: code, Enhanced: smtp.EnhancedCode{class, subject, detail}, Text: text}
	if code < 500 {
		v.Action = gate.Defer
	}
	return v
}

// Connect decides whether a user may submit at all.
func (p *Policy) Connect(uid int) gate.Verdict {
	if Listed(p.config().Users, uid) {
		return gate.Verdict{}
	}
	return refuse(554, 5, 7, 1, fmt.Sprintf("User %s(%d) is not allowed to submit mail", Name(uid), uid))
}

// Mail decides about a message of a user, and counts it.
func (p *Policy) Mail(uid int, sender addr.Address) gate.Verdict {
	cfg := p.config()
	if exempt(cfg, uid) {
		return gate.Verdict{}
	}
	if !cfg.Senders.allow(Name(uid), sender) {
		return refuse(553, 5, 7, 1, sender.Path()+": Sender address rejected: not owned by user "+Name(uid))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.user(uid)
	if now := p.now(); now.Sub(u.minute) >= time.Minute || now.Before(u.minute) {
		u.minute, u.count = now, 0
	}
	switch {
	case cfg.Rate > 0 && u.count >= cfg.Rate:
		return refuse(450, 4, 7, 1, fmt.Sprintf("Error: too much mail from userid %d", uid))
	case cfg.Share > 0 && u.queued >= cfg.Share && !p.recount(uid, u):
		return refuse(452, 4, 3, 1, fmt.Sprintf("Error: too many messages of userid %d are in the queue", uid))
	}
	u.count++
	return gate.Verdict{}
}

// recountInterval is the time between two looks at what a user has in the queue.
const recountInterval = 10 * time.Second

// recount forgets messages of a user that have left the queue unseen, and
// reports whether there were any. p.mu is held.
func (p *Policy) recount(uid int, u *usage) bool {
	now := p.now()
	if age := now.Sub(u.recounted); p.Has == nil || age >= 0 && age < recountInterval {
		return false
	}
	u.recounted = now
	before := u.queued
	for id, owner := range p.owner {
		if owner == uid && !p.Has(id) {
			delete(p.owner, id)
			u.queued--
		}
	}
	return u.queued < before
}

// user finds or makes what is known of a user. p.mu is held.
func (p *Policy) user(uid int) *usage {
	if u, ok := p.users[uid]; ok {
		return u
	}
	if len(p.users) >= maxUsers {
		for other, u := range p.users {
			if u.queued == 0 && p.now().Sub(u.minute) >= time.Minute {
				delete(p.users, other)
			}
		}
	}
	u := &usage{}
	p.users[uid] = u
	return u
}

// Queued counts a message that is about to be in the queue until Removed.
func (p *Policy) Queued(uid int, id queue.ID) {
	cfg := p.config()
	if cfg.Share <= 0 || exempt(cfg, uid) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owner[id] = uid
	p.user(uid).queued++
}

// Removed forgets a message that has left the queue.
func (p *Policy) Removed(id queue.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if uid, ok := p.owner[id]; ok {
		delete(p.owner, id)
		p.user(uid).queued--
	}
}

func exempt(cfg Submit, uid int) bool {
	return uid == 0 || uid == os.Getuid() || Listed(cfg.Exempt, uid)
}

// allow reports whether a user may use a sender.
func (s Senders) allow(user string, sender addr.Address) bool {
	list, ok := s[user]
	if !ok {
		list, ok = s["*"]
	}
	if !ok {
		return true
	}
	for _, pattern := range list {
		if matches(pattern, sender) {
			return true
		}
	}
	return false
}

func matches(pattern string, sender addr.Address) bool {
	switch {
	case pattern == "*":
		return true
	case pattern == "<>":
		return sender.Null()
	case sender.Null():
		return false
	case pattern[0] == '@':
		return strings.EqualFold(pattern[1:], sender.Domain)
	}
	return strings.EqualFold(pattern, sender.String())
}
