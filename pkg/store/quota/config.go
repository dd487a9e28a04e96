package quota

import (
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Config is the `quota` section of deliverd.yaml and imapd.yaml. The rules
// must be the same in both.
type Config struct {
	Rules       []string  `yaml:"rules" reload:"true" example:"[\"*:storage=1G\", \"Trash:storage=+100M\"]" doc:"Dovecot's quota_rule, quota_rule2 and so on. What the user database says under these names counts instead of the rule in the same place. Empty: only the user database limits anybody."`
	Warnings    []string  `yaml:"warnings" max:"32" reload:"true" example:"[\"storage=95% quota-warning 95 %u\", \"-storage=100% quota-warning below %u\"]" doc:"Dovecot's quota_warning, quota_warning2 and so on: a limit, in hundredths of the account's or as a number, the unix socket of a script service (a name is one in /run/dovecot), and what its script is given (%u, %n, %d: the user). The first one that usage reaches, or falls below with - in front, is logged and told to the script. The highest limit comes first."`
	MaxMailSize conf.Size `yaml:"max_mail_size" reload:"true" doc:"The largest message that may be stored; 0 for no limit."`
}

// Validate reports rules and warnings that do not parse.
func (c Config) Validate(p *conf.Reporter) {
	if _, err := ParseRules(c.Rules); err != nil {
		p.At("rules").Errorf("%v", err)
	}
	if _, err := ParseWarnings(c.Warnings); err != nil {
		p.At("warnings").Errorf("%v", err)
	}
}

// Grace is how far above its limit one delivery may bring an account: who is
// at 99 % still gets the next message.
type Grace struct {
	Percent bool // N is in hundredths of the limit
	N       int64
}

// ParseGrace parses "10%" or an amount of bytes with B, k, M, G or T; empty is
// none.
func ParseGrace(text string) (Grace, error) {
	if text == "" {
		return Grace{}, nil
	}
	a, err := parseAmount(text, 1, true)
	if err != nil || a.Relative || a.Percent && a.N > 100 {
		return Grace{}, fail.New(fail.Invalid, `%q is not a grace: write "10%%" or "20M"`, text)
	}
	return Grace{Percent: a.Percent, N: a.N}, nil
}

func (g Grace) of(limit int64) int64 {
	if g.Percent {
		return int64(float64(limit) * float64(g.N) / 100)
	}
	return g.N
}

// For returns the rules of a user. field looks up what the user database says:
// quota_rule, quota_rule2 ..., or quota_storage_size and quota_message_count,
// which Dovecot 2.4 has. Unavailable: the record has a rule that does not
// parse, which the operator has to mend.
func (c Config) For(field func(key string) (string, bool)) (Rules, error) {
	var texts []string
	for i := range maxRules {
		key := "quota_rule"
		if i > 0 {
			key += strconv.Itoa(i + 1)
		}
		text, ok := field(key)
		if !ok && i < len(c.Rules) {
			text = c.Rules[i]
		}
		if text = strings.TrimSpace(text); text != "" {
			texts = append(texts, text)
		} else if i > 0 && i >= len(c.Rules) {
			break
		}
	}
	if size, ok := field("quota_storage_size"); ok {
		texts = append(texts, "*:bytes="+size)
	}
	if n, ok := field("quota_message_count"); ok {
		texts = append(texts, "*:messages="+n)
	}
	rules, err := ParseRules(texts)
	return rules, fail.Wrap(fail.Unavailable, err, "user record")
}
