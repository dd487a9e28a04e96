package verifying

import (
	"time"

	"github.com/postcote/postcote/pkg/mta/verify"
	"github.com/postcote/postcote/pkg/platform/conf"
)

// Config is the `address_verify` section. Keys have Postfix's names without
// the prefix.
type Config struct {
	Sender          string        `yaml:"sender" reload:"true" example:"probe@example.org" doc:"Sender of probes, at rewrite.myorigin where it has no domain. Empty is double_bounce_sender; <> is the null sender, which no other host can turn down for being unknown. Mail to the address must be taken here, as others may verify it."`
	SenderTTL       conf.Duration `yaml:"sender_ttl" reload:"true" max:"30d" doc:"Where it is not 0s, the name of the sender ends in a code that changes after this time, and only the latest ones are taken as recipients: a sender that is known gets no spam."`
	Map             string        `yaml:"map" path:"write" example:"/var/lib/postcote/mtad/verify" doc:"File in which answers outlive a restart. Empty: they do not."`
	PositiveExpire  conf.Duration `yaml:"positive_expire_time" min:"1m" reload:"true" doc:"How long an address is taken for good after it was found so."`
	PositiveRefresh conf.Duration `yaml:"positive_refresh_time" min:"1s" reload:"true" doc:"When it is probed again; a probe that fails changes nothing until the time above is over."`
	NegativeExpire  conf.Duration `yaml:"negative_expire_time" min:"1m" reload:"true" doc:"The same for an address that was not good, or could not be probed."`
	NegativeRefresh conf.Duration `yaml:"negative_refresh_time" min:"1s" reload:"true" doc:"When such an address is probed again."`
	Negative        bool          `yaml:"negative_cache" reload:"true" doc:"Remember addresses that were not good."`
	Wait            conf.Duration `yaml:"wait" max:"1m" reload:"true" doc:"How long a client waits for the probe of an address of which nothing is known (Postfix: poll_count times poll_delay)."`
	Timeout         conf.Duration `yaml:"timeout" min:"1s" max:"10m" doc:"How long a probe may take."`

	Overrides `yaml:",inline"`
}

// Default is the section without a file.
func Default() Config {
	const day = 24 * time.Hour
	return Config{
		PositiveExpire: conf.Duration(31 * day), PositiveRefresh: conf.Duration(7 * day),
		NegativeExpire: conf.Duration(3 * day), NegativeRefresh: conf.Duration(3 * time.Hour), Negative: true,
		Wait: conf.Duration(9 * time.Second), Timeout: conf.Duration(2 * time.Minute),
	}
}

// Times is the part of it about age.
func (c Config) Times() verify.Times {
	return verify.Times{
		PositiveExpire: c.PositiveExpire.Std(), PositiveRefresh: c.PositiveRefresh.Std(),
		NegativeExpire: c.NegativeExpire.Std(), NegativeRefresh: c.NegativeRefresh.Std(), NoNegative: !c.Negative,
	}
}

// Check reports what the tags cannot say.
func (c Config) Check(p *conf.Reporter) {
	if _, err := c.base("double-bounce", "localhost.localdomain"); err != nil {
		p.At("sender").Hint("write an address, a name alone, or <>").Errorf("%v", err)
	}
}
