package tlsx

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"testing"
)

// The words are those that Postfix 3.7 logs of such connections, but for the
// digest of RSA, which crypto/tls does not tell.
func TestSummary(t *testing.T) {
	cert := func(key crypto.Signer, err error) *x509.Certificate {
		if err != nil {
			t.Fatal(err)
		}
		return &x509.Certificate{PublicKey: key.Public()}
	}
	p256, p384 := cert(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), cert(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	rsa2048 := cert(rsa.GenerateKey(rand.Reader, 2048))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	edwards := cert(key, err)
	const thirteen = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
	now := tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_256_GCM_SHA384, CurveID: tls.X25519}
	with := func(change func(*tls.ConnectionState)) tls.ConnectionState {
		s := now
		change(&s)
		return s
	}
	for _, c := range []struct {
		state          tls.ConnectionState
		server, client *x509.Certificate
		want           string
	}{
		{now, p256, nil, thirteen + " key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256"},
		{now, rsa2048, p384, thirteen + " key-exchange X25519 server-signature RSA-PSS (2048 bits) client-signature ECDSA (secp384r1) client-digest SHA384"},
		{now, edwards, nil, thirteen + " key-exchange X25519 server-signature ED25519"},
		{now, nil, nil, thirteen + " key-exchange X25519"},
		{with(func(s *tls.ConnectionState) { s.CurveID = tls.CurveP256 }), nil, nil, thirteen + " key-exchange ECDHE (prime256v1)"},
		{with(func(s *tls.ConnectionState) { s.CurveID = tls.CurveP384 }), nil, nil, thirteen + " key-exchange ECDHE (secp384r1)"},
		{with(func(s *tls.ConnectionState) { s.CurveID = tls.X25519MLKEM768 }), nil, nil, thirteen + " key-exchange X25519MLKEM768"},
		{with(func(s *tls.ConnectionState) { s.DidResume = true }), p256, nil, thirteen + " key-exchange X25519"},
		{
			with(func(s *tls.ConnectionState) {
				s.Version, s.CipherSuite = tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
			}), rsa2048, nil, "TLSv1.2 with cipher ECDHE-RSA-AES256-GCM-SHA384 (256/256 bits)",
		},
	} {
		if got := Summary(c.state, c.server, c.client); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// OpenSSL's names.
func TestCipher(t *testing.T) {
	for id, want := range map[uint16]string{
		tls.TLS_AES_128_GCM_SHA256:                      "TLS_AES_128_GCM_SHA256",
		tls.TLS_CHACHA20_POLY1305_SHA256:                "TLS_CHACHA20_POLY1305_SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:     "ECDHE-ECDSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:          "ECDHE-RSA-AES128-SHA",
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256:     "ECDHE-ECDSA-AES128-SHA256",
		tls.TLS_RSA_WITH_AES_256_GCM_SHA384:             "AES256-GCM-SHA384",
		0xfefe:                                          "0xFEFE",
	} {
		if got := Cipher(id); got != want {
			t.Errorf("%x: %s, want %s", id, got, want)
		}
	}
}
