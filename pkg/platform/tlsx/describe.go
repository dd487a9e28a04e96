package tlsx

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
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

// Cipher names the cipher suite as OpenSSL does, and so Postfix and Dovecot:
// "TLS_AES_128_GCM_SHA256", and in TLS 1.2 "ECDHE-RSA-AES128-GCM-SHA256".
func Cipher(id uint16) string {
	name := tls.CipherSuiteName(id)
	exchange, cipher, ok := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !ok { // of TLS 1.3, or unknown
		return name
	}
	if exchange = strings.ReplaceAll(exchange, "_", "-") + "-"; exchange == "RSA-" {
		exchange = ""
	}
	cipher = strings.NewReplacer("AES_128", "AES128", "AES_256", "AES256", "_CBC", "", "POLY1305_SHA256", "POLY1305").Replace(cipher)
	return exchange + strings.ReplaceAll(cipher, "_", "-")
}

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

// Brief is version and cipher: "TLSv1.3 TLS_AES_128_GCM_SHA256".
func Brief(state tls.ConnectionState) string {
	return Version(state.Version) + " " + Cipher(state.CipherSuite)
}

// Describe is the phrase of logs and Received headers:
// "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)".
func Describe(state tls.ConnectionState) string {
	bits := CipherBits(state.CipherSuite)
	return fmt.Sprintf("%s with cipher %s (%d/%d bits)", Version(state.Version), Cipher(state.CipherSuite), bits, bits)
}

// Summary is Describe with what Postfix tells besides of TLS 1.3: how the keys
// were agreed on, and with what keys of server and client the handshake was
// signed. server and client are their certificates, nil where there is none or
// it is not known. crypto/tls does not tell the digests of RSA signatures.
func Summary(state tls.ConnectionState, server, client *x509.Certificate) string {
	text := Describe(state)
	if state.Version < tls.VersionTLS13 {
		return text
	}
	if kex := KeyExchange(state.CurveID); kex != "" {
		text += " key-exchange " + kex
	}
	if state.DidResume { // nobody signed
		return text
	}
	return text + signature(" server", server) + signature(" client", client)
}

// KeyExchange is Postfix's name of a key exchange, "" for none.
func KeyExchange(id tls.CurveID) string {
	switch id {
	case 0:
		return ""
	case tls.CurveP256:
		return "ECDHE (prime256v1)"
	case tls.CurveP384:
		return "ECDHE (secp384r1)"
	case tls.CurveP521:
		return "ECDHE (secp521r1)"
	}
	return id.String()
}

// signature names a key, and the digest where the key has but one in TLS 1.3
// (RFC 8446 section 4.2.3).
func signature(side string, cert *x509.Certificate) string {
	if cert == nil {
		return ""
	}
	switch key := cert.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("%s-signature RSA-PSS (%d bits)", side, key.N.BitLen())
	case *ecdsa.PublicKey:
		switch key.Curve.Params().BitSize {
		case 256:
			return side + "-signature ECDSA (prime256v1)" + side + "-digest SHA256"
		case 384:
			return side + "-signature ECDSA (secp384r1)" + side + "-digest SHA384"
		case 521:
			return side + "-signature ECDSA (secp521r1)" + side + "-digest SHA512"
		}
	case ed25519.PublicKey:
		return side + "-signature ED25519"
	}
	return ""
}
