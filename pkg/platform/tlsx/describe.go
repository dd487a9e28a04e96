package tlsx

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// Version names a protocol version as Postfix and Dovecot do: "TLSv1.3".
func Version(v uint16) string {
	switch v {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return fmt.Sprintf("TLS-0x%04x", v)
}

// Cipher names the cipher suite by its IANA name, which is also OpenSSL's for
// TLS 1.3.
func Cipher(id uint16) string { return tls.CipherSuiteName(id) }

// CipherBits is the strength of the symmetric cipher.
func CipherBits(id uint16) int {
	name := tls.CipherSuiteName(id)
	switch {
	case strings.Contains(name, "AES_256"), strings.Contains(name, "CHACHA20"):
		return 256
	case strings.Contains(name, "AES_128"), strings.Contains(name, "RC4_128"):
		return 128
	case strings.Contains(name, "3DES"):
		return 168
	}
	return 0
}

// Describe is the phrase of logs and Received headers:
// "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)".
func Describe(state tls.ConnectionState) string {
	bits := CipherBits(state.CipherSuite)
	return fmt.Sprintf("%s with cipher %s (%d/%d bits)", Version(state.Version), Cipher(state.CipherSuite), bits, bits)
}
