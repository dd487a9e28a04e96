package oauth2

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// claims are what is said about a token: those inside of it, or a server's
// answer.
type claims map[string]any

// text is a claim as text; lists and objects have none.
func (c claims) text(name string) (string, bool) {
	switch v := c[name].(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// words are a claim that is a list, or one text with spaces.
func (c claims) words(name string) []string {
	switch v := c[name].(type) {
	case string:
		return strings.Fields(v)
	case []any:
		var words []string
		for _, x := range v {
			if s, ok := x.(string); ok {
				words = append(words, s)
			}
		}
		return words
	}
	return nil
}

// audience is the claim aud: one text or a list of them (RFC 7519 section
// 4.1.3). A text is not split.
func (c claims) audience() []string {
	if s, ok := c["aud"].(string); ok {
		return []string{s}
	}
	return c.words("aud")
}

// moment is a NumericDate (RFC 7519 section 2). Some servers write it as a
// text. ok is false for what cannot be read.
func (c claims) moment(name string) (seconds float64, present, ok bool) {
	v, present := c[name]
	if !present || v == nil {
		return 0, false, true
	}
	s, isText := c.text(name)
	f, err := strconv.ParseFloat(s, 64)
	if !isText || err != nil || !(f >= 0 && f <= 1e15) { // NaN is neither
		return 0, true, false
	}
	return f, true, true
}

// refuse makes the error for a token that is not valid here. why is for the
// log.
func refuse(why string, args ...any) error {
	return refuseFor(passdb.Mismatch, why, args...)
}

func refuseFor(reason passdb.Reason, why string, args ...any) error {
	return fail.Wrap(fail.Denied, &passdb.Refused{DB: name, Reason: reason, Detail: fmt.Sprintf(why, args...)}, "")
}

// checkTimes looks at exp, nbf and iat.
func (c claims) checkTimes(now time.Time, leeway time.Duration, mustExpire bool) error {
	at, slack := float64(now.UnixNano())/1e9, leeway.Seconds()
	exp, expires, ok1 := c.moment("exp")
	nbf, _, ok2 := c.moment("nbf")
	iat, _, ok3 := c.moment("iat")
	switch {
	case !ok1 || !ok2 || !ok3:
		return refuse("the token's times cannot be read")
	case expires && at >= exp+slack:
		return refuse("the token expired at %s", time.Unix(int64(exp), 0).UTC().Format(time.RFC3339))
	case !expires && mustExpire:
		return refuse("the token never expires")
	case at < nbf-slack || at < iat-slack:
		return refuse("the token is not valid yet")
	}
	return nil
}

// checkIssuer looks at iss.
func (c claims) checkIssuer(issuers []string) error {
	iss, _ := c["iss"].(string)
	if iss == "" || !slices.Contains(issuers, iss) {
		return refuse("the token is from %.100q", iss)
	}
	return nil
}

// checkAudience looks at aud.
func (c claims) checkAudience(audiences []string) error {
	if slices.Contains(audiences, "*") {
		return nil
	}
	for _, a := range c.audience() {
		if slices.Contains(audiences, a) {
			return nil
		}
	}
	return refuse("the token is for %.100q", c.audience())
}

// checkUse looks at what tokens of all kinds may say about their use.
func (d *DB) checkUse(c claims) error {
	if active, ok := c["active"]; ok && active != true && active != "true" {
		return refuse("the token is not active")
	}
	if c["cnf"] != nil {
		// RFC 7800: it is worth something only together with a key.
		return refuse("the token is bound to a key, which a bearer cannot prove to have")
	}
	has := append(c.words("scope"), c.words("scp")...)
	for _, want := range strings.Fields(d.cfg.Scope) {
		if !slices.Contains(has, want) {
			return refuse("the token lacks the scope %s", want)
		}
	}
	if d.cfg.ActiveAttribute != "" {
		v, ok := c.text(d.cfg.ActiveAttribute)
		if !ok || (d.cfg.ActiveValue != "" && v != d.cfg.ActiveValue) {
			return refuseFor(passdb.Disabled, "%s is %.40q", d.cfg.ActiveAttribute, v)
		}
	}
	return nil
}

// user is whom the token is for. named is whom the client wants to be, or
// empty.
func (d *DB) user(c claims, named string) (string, error) {
	claim, ok := c[d.cfg.UsernameAttribute].(string)
	if !ok || claim == "" {
		return "", refuse("the token has no %s", d.cfg.UsernameAttribute)
	}
	if v := c["email_verified"]; d.cfg.UsernameAttribute == "email" && (v == false || v == "false") {
		// Anybody can claim an address at an issuer who does not check.
		return "", refuse("the token's email is not verified")
	}
	user, err := username(d.format, claim)
	if err != nil {
		return "", refuse("the token's %s is no user name", d.cfg.UsernameAttribute)
	}
	if named != "" && named != user {
		return "", refuse("the token is for %s", user)
	}
	return user, nil
}

// account is what a valid token gives.
func (d *DB) account(r *request.Request, token string, c claims) (passdb.Account, error) {
	if err := d.checkUse(c); err != nil {
		return passdb.Account{}, err
	}
	user, err := d.user(c, r.User)
	if err != nil {
		return passdb.Account{}, err
	}
	var fields []account.Field
	for _, key := range slices.Sorted(maps.Keys(d.attrs)) {
		v := &tokenVars{r: r, c: c, token: token}
		text, err := d.attrs[key].Expand(v, nil)
		switch {
		case err != nil && v.missing:
			continue
		case err != nil:
			return passdb.Account{}, fail.Wrap(fail.Unavailable, err, "field %s", key)
		}
		fields = append(fields, account.Field{Key: key, Value: text})
	}
	return passdb.FromFields(user, "", fields)
}

// tokenVars are the variables of pass_attrs.
type tokenVars struct {
	r       *request.Request
	c       claims
	token   string
	missing bool // some claim was not there
}

var _ expand.Values = (*tokenVars)(nil)

// Var knows %{oauth2:CLAIM} and %{oauth2:access_token} beside the request's.
func (v *tokenVars) Var(name string) (string, bool) {
	claim, ok := strings.CutPrefix(name, "oauth2:")
	if !ok {
		return v.r.Var(name)
	}
	if claim == "access_token" {
		return v.token, true
	}
	text, ok := v.c.text(claim)
	if words := v.c.words(claim); !ok && words != nil {
		text, ok = strings.Join(words, " "), true
	}
	v.missing = v.missing || !ok
	return text, ok
}
