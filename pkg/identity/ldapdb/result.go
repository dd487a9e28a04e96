package ldapdb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// answered reports whether err is a result that the server gave, after which
// the connection can go on being used. Codes from 200 on are the library's. A
// server that is busy or shutting down is as good as gone.
func answered(err error) bool {
	var e *ldap.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.ResultCode < ldap.ErrorNetwork && e.ResultCode != ldap.LDAPResultBusy && e.ResultCode != ldap.LDAPResultUnavailable
}

// verdict is what a bind says about a password.
type verdict struct {
	right  bool
	gone   bool // there is no such entry
	reason passdb.Reason
	detail string // for the log
}

// refusal is the error for a password that is not right.
func (v verdict) refusal() error {
	r := &passdb.Refused{DB: name, Reason: v.reason}
	if v.reason != passdb.Mismatch {
		r.Detail = v.detail
	}
	return fail.Wrap(fail.Denied, r, "")
}

// told are answers that servers tell apart by their text only.
func told() []struct {
	code   uint16
	text   string
	reason passdb.Reason
} {
	return []struct {
		code   uint16
		text   string
		reason passdb.Reason
	}{
		// Active Directory, in hexadecimal. All but "775" come after the right
		// password only.
		{ldap.LDAPResultInvalidCredentials, "data 530,", passdb.Disabled}, // not at this hour
		{ldap.LDAPResultInvalidCredentials, "data 531,", passdb.Disabled}, // not from here
		{ldap.LDAPResultInvalidCredentials, "data 532,", passdb.Expired},
		{ldap.LDAPResultInvalidCredentials, "data 533,", passdb.Disabled},
		{ldap.LDAPResultInvalidCredentials, "data 701,", passdb.Disabled}, // account expired
		{ldap.LDAPResultInvalidCredentials, "data 773,", passdb.Expired},  // must be changed
		{ldap.LDAPResultInvalidCredentials, "data 775,", passdb.Locked},
		// 389 Directory Server and FreeIPA.
		{ldap.LDAPResultUnwillingToPerform, "Account inactivated", passdb.Disabled},
	}
}

// judge turns the result of a bind into a verdict. Whoever may be told more
// than "no" has shown the right password: a lock, which servers look at before
// the password, stays our secret. Errors are outages.
func judge(result *ldap.SimpleBindResult, err error) (verdict, error) {
	if err == nil {
		return verdict{right: true}, nil
	}
	var e *ldap.Error
	if !errors.As(err, &e) || !answered(err) {
		return verdict{}, err
	}
	detail := fmt.Sprintf("%.200s", err.Error())
	for _, t := range told() {
		if e.ResultCode == t.code && e.Err != nil && strings.Contains(e.Err.Error(), t.text) {
			return verdict{reason: t.reason, detail: detail}, nil
		}
	}
	switch e.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return verdict{reason: policyReason(result), detail: detail}, nil
	case ldap.LDAPResultConstraintViolation: // 389 DS: too many failures
		return verdict{reason: passdb.Locked, detail: detail}, nil
	case ldap.LDAPResultInappropriateAuthentication: // 389 DS: the entry has no password
		return verdict{reason: passdb.Locked, detail: detail}, nil
	case ldap.LDAPResultNoSuchObject:
		return verdict{gone: true}, nil
	}
	return verdict{}, fail.Wrap(fail.Unavailable, err, "bind")
}

// policyReason looks at the password policy's answer (draft-behera-ldap-
// password-policy-10 section 9.1, and its Netscape forerunner).
func policyReason(result *ldap.SimpleBindResult) passdb.Reason {
	if result == nil {
		return passdb.Mismatch
	}
	for _, c := range result.Controls {
		switch c := c.(type) {
		case *ldap.ControlBeheraPasswordPolicy:
			switch c.Error {
			case 0: // passwordExpired
				return passdb.Expired
			case 1: // accountLocked
				return passdb.Locked
			}
		case *ldap.ControlVChuPasswordMustChange:
			return passdb.Expired
		}
	}
	return passdb.Mismatch
}
