package expand

import (
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// parseBraces reads what stands in %{}.
func parseBraces(text string, depth int) (source, error) {
	if rest, ok := strings.CutPrefix(text, "if;"); ok {
		return parseIf(rest, depth)
	}
	if algorithm, rest, ok := cutHash(text); ok {
		return parseOldHash(algorithm, rest)
	}
	if isPipeline(text) {
		return parsePipeline(text)
	}
	name := strings.TrimSpace(text)
	key, _, _ := strings.Cut(name, ":")
	if key == "" || len(name) > maxName || strings.ContainsAny(key, " ") || strings.ContainsAny(name, "%{}'\"\\\r\n\t") {
		return nil, fail.New(fail.Invalid, "%%{%.40s} names no variable", text)
	}
	return variable(name), nil
}

// maxName caps the name of a variable with its default.
const maxName = 256

// isPipeline tells 2.4's grammar from a plain name, which may have a default
// of any form behind it (%{userdb:quota_rule:*:bytes=1G}).
func isPipeline(text string) bool {
	if strings.ContainsAny(text, "|(") {
		return true
	}
	for _, op := range []string{" + ", " - ", " * ", " / ", " % "} {
		if strings.Contains(text, op) {
			return true
		}
	}
	return false
}

// cutHash recognises "sha256;…:field" and "sha256:field".
func cutHash(text string) (algorithm, rest string, ok bool) {
	i := strings.IndexAny(text, ";:")
	if i < 0 || newDigest(text[:i]) == nil {
		return "", "", false
	}
	return text[:i], text[i:], true
}

// oldHashed is 2.3's %{sha256;rounds=1,truncate=0,salt=,format=hex:field}.
type oldHashed struct {
	digest   digest
	of       variable
	truncate int    // bits; 0: all
	format   string // "hex", "hexuc", "base64"
}

func parseOldHash(algorithm, rest string) (source, error) {
	args, field, ok := strings.Cut(rest, ":")
	if !ok || field == "" {
		return nil, fail.New(fail.Invalid, "%%{%s%.30s} names no variable to hash", algorithm, rest)
	}
	h := oldHashed{digest: digest{algorithm: algorithm, rounds: 1}, of: variable(field), format: "hex"}
	for _, arg := range strings.Split(strings.TrimPrefix(args, ";"), ",") {
		if arg == "" {
			continue
		}
		if err := h.set(arg); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *oldHashed) set(arg string) (err error) {
	key, value, _ := strings.Cut(arg, "=")
	switch key {
	case "rounds":
		h.digest.rounds, err = number(value, 1, maxRounds)
	case "truncate":
		h.truncate, err = number(value, 1, h.digest.size()*8)
	case "salt":
		h.digest.salt = value
	case "format":
		if value != "hex" && value != "hexuc" && value != "base64" {
			err = fail.New(fail.Invalid, "%q is no format: hex, hexuc, base64", value)
		}
		h.format = value
	default:
		err = fail.New(fail.Invalid, "%q is no setting of a hash: rounds, truncate, salt, format", key)
	}
	return err
}

func (h oldHashed) names() []string { return h.of.names() }

func (h oldHashed) value(v Values) (string, error) {
	s, err := h.of.value(v)
	if err != nil {
		return "", err
	}
	sum := truncateBits(h.digest.sum([]byte(s)), h.truncate)
	switch h.format {
	case "hexuc":
		return strings.ToUpper(hexText(sum)), nil
	case "base64":
		return base64Text(sum), nil
	}
	return hexText(sum), nil
}
