package tlsx

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ends returns both ends' states of one connection.
func ends(t *testing.T, server, client *tls.Config) (s, c tls.ConnectionState) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	sc, cc := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() { done <- sc.Handshake() }()
	if err := cc.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return sc.ConnectionState(), cc.ConnectionState()
}

// Both ends know the same, another connection knows something else.
func TestBindings(t *testing.T) {
	pair := files(t, t.TempDir(), "a", "a.example")
	k, _ := keeper(t, Config{CertFile: pair.CertFile, KeyFile: pair.KeyFile})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := Opportunistic("a.example")
		client.MaxVersion = version
		server := k.Server()
		s, c := ends(t, server, client)
		_, other := ends(t, server, client)
		for _, kind := range []string{"tls-exporter", "tls-server-end-point"} {
			one, err := k.Binding(s).ChannelBinding(kind)
			if err != nil {
				t.Fatal(err)
			}
			two, err := ClientBinding(c).ChannelBinding(kind)
			if err != nil || len(one) != 32 || !bytes.Equal(one, two) {
				t.Errorf("%x %s: %x, %x, %v", version, kind, one, two, err)
			}
			three, err := ClientBinding(other).ChannelBinding(kind)
			if same := bytes.Equal(one, three); err != nil || same != (kind == "tls-server-end-point") {
				t.Errorf("%x %s: another connection has %x, %v", version, kind, three, err)
			}
		}
		if _, err := ClientBinding(c).ChannelBinding("tls-unique"); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
		if _, err := (Binding{State: s}).ChannelBinding("tls-server-end-point"); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
	}
	if _, err := (Binding{}).ChannelBinding("tls-exporter"); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// RFC 5929 section 4.1.
func TestEndPointHash(t *testing.T) {
	raw := []byte("certificate")
	s256, s384, s512 := sha256.Sum256(raw), sha512.Sum384(raw), sha512.Sum512(raw)
	for alg, want := range map[x509.SignatureAlgorithm][]byte{
		x509.SHA1WithRSA:      s256[:],
		x509.ECDSAWithSHA256:  s256[:],
		x509.SHA384WithRSAPSS: s384[:],
		x509.ECDSAWithSHA512:  s512[:],
		x509.PureEd25519:      nil,
	} {
		got, err := endPoint(&x509.Certificate{Raw: raw, SignatureAlgorithm: alg})
		if !bytes.Equal(got, want) || (err != nil) != (want == nil) {
			t.Errorf("%s: %x, %v", alg, got, err)
		}
	}
}

// Of two certificates for one name the connection had one, and nobody knows
// which.
func TestBindingOfTwoCertificates(t *testing.T) {
	dir := t.TempDir()
	one, two := files(t, dir, "one", "a.example"), files(t, dir, "two", "a.example")
	k, _ := keeper(t, Config{CertFile: one.CertFile, KeyFile: one.KeyFile, SNI: []Pair{two}})
	s, _ := ends(t, k.Server(), Opportunistic("a.example"))
	if data, err := k.Binding(s).ChannelBinding("tls-server-end-point"); !fail.Is(err, fail.NotFound) {
		t.Errorf("%x %v", data, err)
	}
	if _, err := k.Binding(s).ChannelBinding("tls-exporter"); err != nil {
		t.Error(err)
	}
}
