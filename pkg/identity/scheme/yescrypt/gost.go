package yescrypt

import "crypto/hmac"

// GOST wraps a key of yescrypt into Russia's hash function, which makes a
// gost-yescrypt hash of it. setting is the text before the $ and the hash.
func GOST(password []byte, setting string, key [KeyLen]byte) [KeyLen]byte {
	h := newStreebog()
	_, _ = h.Write(password)
	inner := gostMAC(h.Sum(nil), []byte(setting))
	return [KeyLen]byte(gostMAC(inner, key[:]))
}

func gostMAC(key, text []byte) []byte {
	m := hmac.New(newStreebog, key)
	_, _ = m.Write(text)
	return m.Sum(nil)
}
