package conf

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Duration is a span of time written with its unit: "300ms", "30s", "1h30m",
// "5d", "2w". Never negative.
type Duration time.Duration

// Std is the value as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

type unit struct {
	name  string
	value int64
}

// durationUnits, largest first, without the month and year nobody agrees on.
func durationUnits() []unit {
	return []unit{
		{"w", int64(7 * 24 * time.Hour)},
		{"d", int64(24 * time.Hour)},
		{"h", int64(time.Hour)},
		{"m", int64(time.Minute)},
		{"s", int64(time.Second)},
		{"ms", int64(time.Millisecond)},
		{"us", int64(time.Microsecond)},
		{"ns", 1},
	}
}

const (
	durationHint = `write a number and a unit, such as "500ms", "30s", "5m", "12h" or "5d"`
	sizeHint     = `write a number and a unit, such as "512B", "64KiB", "50MiB" or "10MB"`
	modeHint     = `write three or four octal digits in quotes, such as "0660"`
)

// UnmarshalText reads one or more whole numbers, each with a unit.
func (d *Duration) UnmarshalText(text []byte) error {
	rest := string(text)
	if rest == "0" {
		*d = 0
		return nil
	}
	var total int64
	for first := true; rest != "" || first; first = false {
		n, name, tail, err := leadingQuantity(rest)
		if err != nil {
			return fail.New(fail.Invalid, "%q is not a duration", text)
		}
		value, ok := unitValue(durationUnits(), name)
		if !ok {
			return fail.New(fail.Invalid, "%q is not a duration", text)
		}
		if n > (math.MaxInt64-total)/value {
			return fail.New(fail.Invalid, "duration %q is too long", text)
		}
		total, rest = total+n*value, tail
	}
	*d = Duration(total)
	return nil
}

// MarshalText writes the shortest exact form in falling units.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the text form, such as "1h30m".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	if d < 0 {
		return time.Duration(d).String()
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range durationUnits() {
		if u.name == "w" { // days read better than weeks
			continue
		}
		if n := rest / u.value; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			rest %= u.value
		}
	}
	return b.String()
}

// Size is a number of bytes written with its unit: "512B", "64KiB", "50MiB",
// "1GiB" (powers of 1024) or "10kB", "10MB", "1GB" (powers of 1000).
type Size int64

// Int64 is the number of bytes.
func (s Size) Int64() int64 { return int64(s) }

// sizeUnits, in the order String tries them.
func sizeUnits() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"KB", 1e3},
		{"B", 1},
	}
}

// UnmarshalText reads a whole number with a unit.
func (s *Size) UnmarshalText(text []byte) error {
	if string(text) == "0" {
		*s = 0
		return nil
	}
	n, name, tail, err := leadingQuantity(string(text))
	value, ok := unitValue(sizeUnits(), name)
	if err != nil || !ok || tail != "" {
		return fail.New(fail.Invalid, "%q is not a size", text)
	}
	if n > math.MaxInt64/value {
		return fail.New(fail.Invalid, "size %q is too large", text)
	}
	*s = Size(n * value)
	return nil
}

// MarshalText writes the largest unit that divides the size.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String is the text form, such as "50MiB".
func (s Size) String() string {
	for _, u := range sizeUnits() {
		if s != 0 && int64(s)%u.value == 0 {
			return strconv.FormatInt(int64(s)/u.value, 10) + u.name
		}
	}
	return "0B"
}

// leadingQuantity splits "12msrest" into 12, "ms", "rest", where rest begins
// with a digit or is empty.
func leadingQuantity(s string) (n int64, name, rest string, err error) {
	digits := 0
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	n, err = strconv.ParseInt(s[:digits], 10, 64)
	if err != nil {
		return 0, "", "", err
	}
	s = strings.TrimLeft(s[digits:], " ")
	letters := 0
	for letters < len(s) && (s[letters]|0x20 >= 'a' && s[letters]|0x20 <= 'z') {
		letters++
	}
	return n, s[:letters], strings.TrimLeft(s[letters:], " "), nil
}

func unitValue(units []unit, name string) (int64, bool) {
	for _, u := range units {
		if u.name == name {
			return u.value, true
		}
	}
	return 0, false
}

// FileMode is the permission bits of a file, written in octal: "0660".
type FileMode uint32

// Perm is the value as the standard library's type.
func (m FileMode) Perm() os.FileMode { return os.FileMode(m) & os.ModePerm }

// UnmarshalText reads three or four octal digits.
func (m *FileMode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || len(text) < 3 || len(text) > 4 || n > 0o7777 {
		return fail.New(fail.Invalid, "%q is not a file mode", text)
	}
	*m = FileMode(n)
	return nil
}

// MarshalText writes four octal digits.
func (m FileMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String is the text form, such as "0660".
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// maxSecret is far above any key or password and keeps a wrong path (a log,
// a device) from being read whole.
const maxSecret = 64 << 10

// SecretFile is the path of a file that holds one secret. The secret itself
// never stands in a configuration file.
type SecretFile string

// Read returns the content without one trailing newline. An empty file, a
// file above 64 KiB and an unset path are errors.
func (f SecretFile) Read() (string, error) {
	if f == "" {
		return "", fail.New(fail.Invalid, "no secret file is configured")
	}
	file, err := os.Open(string(f))
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "read secret")
	}
	defer file.Close()
	buf, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "read secret")
	}
	if len(buf) > maxSecret {
		return "", fail.New(fail.Invalid, "secret file %s is larger than %d bytes", string(f), maxSecret)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(buf), "\n"), "\r")
	if secret == "" {
		return "", fail.New(fail.Invalid, "secret file %s is empty", string(f))
	}
	return secret, nil
}
