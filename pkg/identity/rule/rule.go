package rule

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Rule says what happens after a database has answered, as Dovecot's
// result_success, result_failure and result_internalfail do.
type Rule uint8

// The rules.
const (
	ReturnOK     Rule = iota + 1 // end with success
	ReturnFail                   // end with failure
	Return                       // end with what earlier databases came to
	ContinueOK                   // success so far, ask the next one
	ContinueFail                 // failure so far, ask the next one
	Continue                     // ask the next one
)

// Names are the rules as they are written in a configuration, for its oneof.
const Names = "return-ok|return-fail|return|continue-ok|continue-fail|continue"

// Parse reads a rule. Errors are fail.Invalid.
func Parse(text string) (Rule, error) {
	for i, name := range strings.Split(Names, "|") {
		if name == text {
			return Rule(i + 1), nil
		}
	}
	return 0, fail.New(fail.Invalid, "%.20q is not one of %s", text, strings.ReplaceAll(Names, "|", ", "))
}

func (r Rule) String() string {
	if r == 0 || r > Continue {
		return "unknown"
	}
	return strings.Split(Names, "|")[r-1]
}

// After is the state after the rule: whether the chain has succeeded so far,
// and whether it goes on.
func (r Rule) After(success bool) (now, goOn bool) {
	switch r {
	case ReturnOK:
		return true, false
	case ReturnFail:
		return false, false
	case ContinueOK:
		return true, true
	case ContinueFail:
		return false, true
	case Continue:
		return success, true
	}
	return success, false
}

// Set is the rules of one database.
type Set struct{ Success, Failure, InternalFail Rule }

// Defaults are Dovecot's: the first success counts, everything else goes on.
func Defaults() Set { return Set{Success: ReturnOK, Failure: Continue, InternalFail: Continue} }
