package account

import "strings"

// Match compares name with a mask of "*" (any text) and "?" (one byte), in
// time proportional to the product of their lengths at worst.
func Match(mask, name string) bool {
	m, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		switch {
		case m < len(mask) && mask[m] == '*':
			star, mark = m, n
			m++
		case m < len(mask) && (mask[m] == '?' || mask[m] == name[n]):
			m++
			n++
		case star >= 0: // let the last star take one more
			mark++
			m, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(mask[m:], "*") == ""
}
