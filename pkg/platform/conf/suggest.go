package conf

import (
	"reflect"
	"strings"
)

// unknownKeyHint helps with a key that a section does not have: the nearest
// key of the section, or the section in which the key exists.
func unknownKeyHint(root reflect.Type, key string, fields []field) string {
	if near := nearest(key, keysOf(fields)); near != "" {
		return "did you mean " + near + "?"
	}
	if path := findElsewhere(root, key, "", 0); path != "" {
		return "did you mean " + path + "?"
	}
	if len(fields) <= 12 {
		return "known keys here: " + strings.Join(keysOf(fields), ", ")
	}
	return ""
}

// allowedHint lists the values of an enumeration, the likely one first.
func allowedHint(value string, allowed []string) string {
	shown := make([]string, 0, len(allowed))
	for _, a := range allowed {
		if a == "" {
			a = `""`
		}
		shown = append(shown, a)
	}
	hint := "allowed: " + strings.Join(shown, ", ")
	if near := nearest(value, allowed); near != "" {
		return "did you mean " + near + "? " + hint
	}
	return hint
}

// maxSearchDepth ends the search in types that contain themselves.
const maxSearchDepth = 8

// findElsewhere is the path of the first section that has the key.
func findElsewhere(t reflect.Type, key, path string, depth int) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !isSection(t) || depth > maxSearchDepth {
		return ""
	}
	fields := fieldsOf(t)
	if _, ok := findField(fields, key); ok {
		return join(path, key)
	}
	for _, f := range fields {
		if found := findElsewhere(f.typ, key, join(path, f.key), depth+1); found != "" {
			return found
		}
	}
	return ""
}

// nearest is the candidate that a typing mistake may have turned into word.
func nearest(word string, candidates []string) string {
	word = fold(word)
	if word == "" || len(word) > 64 {
		return ""
	}
	best, bestDistance := "", 1+max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(word, fold(c)); d < bestDistance && d < len(c) {
			best, bestDistance = c, d
		}
	}
	return best
}

// fold makes kebab-case, camelCase and upper case look alike.
func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(s))
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b (optimal string alignment).
func distance(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
