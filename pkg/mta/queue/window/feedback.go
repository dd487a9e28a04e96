package window

import (
	"math"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Feedback is by how much one result moves a window: a number, maybe divided by
// the window or its square root. The zero value is not set.
type Feedback struct {
	base float64
	by   divisor
}

type divisor uint8

const (
	unset divisor = iota
	one
	concurrency
	sqrtConcurrency
)

var divisorNames = [...]string{unset: "", one: "", concurrency: "concurrency", sqrtConcurrency: "sqrt_concurrency"}

// Whole is Postfix's default: one delivery for each result.
func Whole() Feedback { return Feedback{base: 1, by: one} }

// UnmarshalText reads "0.5", "1 / concurrency" or "1 / sqrt_concurrency", with
// a number from 0 to 1. Errors are of kind fail.Invalid.
func (f *Feedback) UnmarshalText(text []byte) error {
	number, by, divided := strings.Cut(string(text), "/")
	out := Feedback{by: one}
	if divided {
		switch strings.ToLower(strings.TrimSpace(by)) {
		case divisorNames[concurrency]:
			out.by = concurrency
		case divisorNames[sqrtConcurrency]:
			out.by = sqrtConcurrency
		default:
			return fail.New(fail.Invalid, "%q is not a feedback: what is divided by is concurrency or sqrt_concurrency", text)
		}
	}
	var err error
	if out.base, err = strconv.ParseFloat(strings.TrimSpace(number), 64); err != nil || !(out.base >= 0 && out.base <= 1) {
		return fail.New(fail.Invalid, "%q is not a feedback: it begins with a number from 0 to 1", text)
	}
	*f = out
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (f Feedback) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// String is the text form, empty when f is not set.
func (f Feedback) String() string {
	if f.by == unset {
		return ""
	}
	text := strconv.FormatFloat(f.base, 'g', -1, 64)
	if name := divisorNames[f.by]; name != "" {
		text += " / " + name
	}
	return text
}

// Or is f, or d where f is not set.
func (f Feedback) Or(d Feedback) Feedback {
	if f.by == unset {
		return d
	}
	return f
}

// at is the amount for a window.
func (f Feedback) at(window int) float64 {
	switch f.by {
	case concurrency:
		return f.base / float64(window)
	case sqrtConcurrency:
		return f.base / math.Sqrt(float64(window))
	}
	return f.base
}
