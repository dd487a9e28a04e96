package lookup

import (
	"golang.org/x/text/cases"
)

// Fold is a key as tables of fixed keys hold it: case does not count, by
// Unicode's rules.
func Fold(key string) string {
	upper := false
	for i := 0; i < len(key); i++ {
		switch c := key[i]; {
		case c >= 0x80:
			return cases.Fold().String(key)
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	if !upper {
		return key
	}
	return string(foldBytes([]byte(key)))
}

// foldBytes is Fold; ASCII is changed in place.
func foldBytes(key []byte) []byte {
	for i, c := range key {
		switch {
		case c >= 0x80:
			return cases.Fold().Bytes(key)
		case 'A' <= c && c <= 'Z':
			key[i] = c + 'a' - 'A'
		}
	}
	return key
}

// fold is the key to look for.
func (o Options) fold(key string) string {
	if o.KeepCase {
		return key
	}
	return Fold(key)
}
