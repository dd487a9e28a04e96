package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/turns"
	"github.com/postcote/postcote/pkg/mta/queue/window"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// Config is what Open needs. FS, Dir and the fields of Settings are required;
// DefaultSettings has good values for the latter.
type Config struct {
	Settings
	Dir     string // made if missing; one process at a time
	FS      disk.FS
	Now     func() time.Time // nil means time.Now
	Log     *obs.Logger      // nil means none
	Metrics *obs.Metrics     // nil means none
}

// Settings is the `queue` section of mtad's configuration.
type Settings struct {
	MinBackoff     conf.Duration `yaml:"min_backoff" min:"1s" reload:"true" doc:"The shortest time between two attempts; also how long a destination counts as down."`
	MaxBackoff     conf.Duration `yaml:"max_backoff" min:"1s" reload:"true" doc:"The longest time between two attempts. In between, a message waits as long as it is old."`
	Lifetime       conf.Duration `yaml:"lifetime" reload:"true" doc:"How long delivery is tried before the message is returned; 0s tries once."`
	BounceLifetime conf.Duration `yaml:"bounce_lifetime" reload:"true" doc:"The same for notifications, which are dropped then."`
	DelayWarning   conf.Duration `yaml:"delay_warning" reload:"true" doc:"Tell the sender once when a message is delayed for so long; 0s never does."`

	ConfirmDelay bool `yaml:"confirm_delay_cleared" reload:"true" doc:"Tell senders who were warned of a delay when the message has been delivered."`
	SoftBounce   bool `yaml:"soft_bounce" reload:"true" doc:"Return nothing: treat permanent failures as temporary ones, for tests of a new configuration."`

	NotifyClasses []string `yaml:"notify_classes" example:"2bounce" reload:"true" doc:"What the postmaster is told of: bounce (a copy of the header of mail that is returned), delay (the same of delayed mail), 2bounce (mail without a sender that could not be delivered), and transcripts of SMTP sessions: bounce (unknown recipients), policy, protocol, data (tables that cannot be asked), resource (no room), software. Strangers can cause them, so no more than 60 are sent in an hour."`
	BounceNotice  string   `yaml:"bounce_notice_recipient" reload:"true" doc:"Who gets notices of class bounce."`
	DelayNotice   string   `yaml:"delay_notice_recipient" reload:"true" doc:"Who gets notices of class delay."`
	DoubleNotice  string   `yaml:"2bounce_notice_recipient" reload:"true" doc:"Who gets notices of class 2bounce."`
	ErrorNotice   string   `yaml:"error_notice_recipient" reload:"true" doc:"Who gets transcripts of SMTP sessions, but for those of class bounce."`

	ActiveMessages   int `yaml:"active_messages" min:"10" reload:"true" doc:"Messages being worked on at a time; the others wait on disk."`
	ActiveRecipients int `yaml:"active_recipients" min:"10" reload:"true" doc:"The same for recipients: with so many, further messages with more than active_recipients_minimum of them wait."`
	ActiveMinimum    int `yaml:"active_recipients_minimum" min:"1" reload:"true" doc:"The largest message, in recipients, that does not have to wait for others with many."`

	TransportRetry conf.Duration `yaml:"transport_retry_time" min:"1s" reload:"true" doc:"How long nothing is tried over a transport that does not work itself: the socket of its helper is not there, or the helper ends without an answer."`

	DeferTransports []string      `yaml:"defer_transports" reload:"true" doc:"Transports over which nothing is tried before an operator flushes the queue."`
	InFlowDelay     conf.Duration `yaml:"in_flow_delay" max:"10s" reload:"true" doc:"How long each message waits for its reply while five times active_messages wait for their first attempt: mail comes in faster than it goes out. 0s never waits."`

	Default    Limits            `yaml:"default" reload:"true" doc:"Limits of each transport that is not listed under transports."`
	Transports map[string]Limits `yaml:"transports" reload:"true" doc:"Limits by transport name (smtp, lmtp)."`

	ZeroRemoved  bool          `yaml:"zero_removed" doc:"Overwrite the files of mail that has left before they are removed. It costs writing everything twice, and a disk may keep copies all the same."`
	MinFree      conf.Size     `yaml:"min_free" reload:"true" doc:"Free space below which no mail is taken (452 4.3.1). Never less than one and a half times message_size_limit counts, as in Postfix."`
	SegmentSize  conf.Size     `yaml:"segment_size" min:"64KiB" max:"1GiB" doc:"Size of the files that hold small messages."`
	LargeMessage conf.Size     `yaml:"large_message" min:"4KiB" max:"16MiB" doc:"Messages above this size get a file of their own."`
	BufferBudget conf.Size     `yaml:"buffer_budget" doc:"Memory for messages being received; when it is used up, messages go to files of their own from 64 KiB on."`
	SyncInterval conf.Duration `yaml:"sync_interval" min:"10ms" max:"1m" reload:"true" doc:"How long a delivery result may be known to the kernel only. A power failure repeats the deliveries of this time."`
}

// Limits of one transport.
type Limits struct {
	Concurrency int `yaml:"concurrency" min:"0" doc:"Deliveries at a time over this transport; 0 takes the value of default."`
	Initial     int `yaml:"initial_destination_concurrency" min:"0" doc:"Deliveries at a time to a destination that is not known yet."`
	Destination int `yaml:"destination_concurrency" min:"0" doc:"The most deliveries at a time to one destination."`
	Recipients  int `yaml:"recipients" min:"0" doc:"The most recipients in one delivery. With 1, each recipient is a destination of its own for the limits here."`
	Cohort      int `yaml:"failed_cohort_limit" min:"-1" doc:"After as many windows full of failures, with no success between them, a destination counts as down; -1: never."`

	Positive window.Feedback `yaml:"positive_feedback" example:"1 / concurrency" doc:"By how much a success opens the window of a destination: a number from 0 to 1, maybe divided by the window (1 / concurrency) or its root (1 / sqrt_concurrency)."`
	Negative window.Feedback `yaml:"negative_feedback" example:"1 / concurrency" doc:"By how much a failure of a destination closes its window, in the same form."`

	SlotCost     int `yaml:"delivery_slot_cost" min:"0" doc:"After so many deliveries of a large message a smaller one may overtake it by one delivery; 1: nobody overtakes."`
	SlotLoan     int `yaml:"delivery_slot_loan" min:"0" doc:"How many such deliveries a large message gives before it has saved them up."`
	SlotDiscount int `yaml:"delivery_slot_discount" min:"0" max:"100" doc:"Percent of the deliveries of a smaller message that need not be saved up before it overtakes."`
	MinimumSlots int `yaml:"minimum_delivery_slots" min:"0" doc:"A message with fewer deliveries than this many times delivery_slot_cost is not overtaken."`

	SoftBounce bool `yaml:"soft_bounce" doc:"Keep mail that this transport would return, and try again, as soft_bounce of the queue does for all."`

	DestinationDelay conf.Duration `yaml:"destination_rate_delay" doc:"Pause after each delivery to a destination, which then gets one at a time."`
	TransportDelay   conf.Duration `yaml:"transport_rate_delay" doc:"Pause between the beginnings of deliveries over this transport."`
}

// DefaultSettings are Postfix's where Postfix has them.
func DefaultSettings() Settings {
	return Settings{
		MinBackoff:     conf.Duration(300 * time.Second),
		MaxBackoff:     conf.Duration(4000 * time.Second),
		Lifetime:       conf.Duration(5 * 24 * time.Hour),
		BounceLifetime: conf.Duration(5 * 24 * time.Hour),
		BounceNotice:   "postmaster", DelayNotice: "postmaster", DoubleNotice: "postmaster", ErrorNotice: "postmaster",
		ActiveMessages:   20000,
		ActiveRecipients: 20000,
		ActiveMinimum:    10,
		TransportRetry:   conf.Duration(60 * time.Second),
		Default:          defaultLimits(),
		MinFree:          100 << 20,
		SegmentSize:      32 << 20,
		LargeMessage:     256 << 10,
		BufferBudget:     64 << 20,
		SyncInterval:     conf.Duration(time.Second),
		InFlowDelay:      conf.Duration(time.Second),
	}
}

// Classes that notify_classes knows.
const (
	classBounce = "bounce"
	classDelay  = "delay"
	classDouble = "2bounce"
)

// Validate reports what the tags cannot say.
func (s Settings) Validate(p *conf.Reporter) {
	known := []string{classBounce, classDouble, classDelay, "resource", "software", "policy", "protocol", "data"}
	for i, c := range s.NotifyClasses {
		if !slices.Contains(known, c) {
			p.At("notify_classes[%d]", i).Hint("known are %s", strings.Join(known, ", ")).Errorf("%q is no class", c)
		}
	}
	for key, value := range map[string]string{
		"bounce_notice_recipient": s.BounceNotice, "delay_notice_recipient": s.DelayNotice, "2bounce_notice_recipient": s.DoubleNotice,
		"error_notice_recipient": s.ErrorNotice,
	} {
		if _, err := addr.Parse(value); err != nil && value != "" {
			p.At(key).Errorf("%q is no address", value)
		}
	}
}

// postmaster is who is told of a kind of notice, the null address for nobody.
func (s *Settings) postmaster(k NoticeKind) addr.Address {
	class, to := classBounce, s.BounceNotice
	switch k {
	case NoticeDelayCopy:
		class, to = classDelay, s.DelayNotice
	case NoticeDouble:
		class, to = classDouble, s.DoubleNotice
	}
	if !slices.Contains(s.NotifyClasses, class) {
		return addr.Address{}
	}
	a, err := addr.Parse(to)
	if err != nil {
		return addr.Address{}
	}
	return a
}

func (s *Settings) limits(transport string) Limits {
	if l, ok := s.Transports[transport]; ok {
		return l.or(s.Default)
	}
	return s.Default.or(defaultLimits())
}

func defaultLimits() Limits {
	return Limits{
		Concurrency: 100, Initial: 5, Destination: 20, Recipients: 50, Cohort: 1, Positive: window.Whole(), Negative: window.Whole(),
		SlotCost: 5, SlotLoan: 3, SlotDiscount: 50, MinimumSlots: 3,
	}
}

// retryTime is transport_retry_time.
func (s *Settings) retryTime() time.Duration { return max(s.TransportRetry.Std(), time.Second) }

// window are the rules of package window.
func (l *Limits) window() window.Rules {
	return window.Rules{Initial: l.Initial, Limit: l.Destination, Positive: l.Positive, Negative: l.Negative, Cohorts: l.Cohort}
}

// key tells the destinations of a transport apart: by the next hop, and by the
// recipient if each has deliveries of its own.
func (l *Limits) key(r Route, rcpt addr.Address) string {
	if l.Recipients != 1 {
		return r.NextHop
	}
	return strings.ToLower(rcpt.Local) + "@" + r.NextHop
}

// costs are the parameters of package turns.
func (l *Limits) costs() turns.Costs {
	return turns.Costs{Cost: l.SlotCost, Loan: l.SlotLoan, Discount: l.SlotDiscount, Minimum: l.MinimumSlots}
}

// or fills fields that are not set.
func (l Limits) or(d Limits) Limits {
	for _, f := range []struct {
		v *int
		d int
	}{
		{&l.Concurrency, d.Concurrency},
		{&l.Initial, d.Initial},
		{&l.Destination, d.Destination},
		{&l.Recipients, d.Recipients},
		{&l.SlotCost, d.SlotCost},
		{&l.SlotLoan, d.SlotLoan},
		{&l.SlotDiscount, d.SlotDiscount},
		{&l.MinimumSlots, d.MinimumSlots},
	} {
		if *f.v <= 0 {
			*f.v = f.d
		}
	}
	if l.Cohort == 0 {
		l.Cohort = d.Cohort
	}
	l.Positive, l.Negative = l.Positive.Or(d.Positive), l.Negative.Or(d.Negative)
	l.SoftBounce = l.SoftBounce || d.SoftBounce
	if l.DestinationDelay <= 0 {
		l.DestinationDelay = d.DestinationDelay
	}
	if l.TransportDelay <= 0 {
		l.TransportDelay = d.TransportDelay
	}
	l.Destination = min(l.Destination, l.Concurrency)
	l.Initial = min(l.Initial, l.Destination)
	return l
}
