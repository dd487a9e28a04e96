package tlsx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issue makes a certificate like tmpl; parent nil: its own root.
func issue(t *testing.T, parent *tls.Certificate, tmpl x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	if tmpl.NotAfter.IsZero() {
		tmpl.NotAfter = time.Now().Add(time.Hour)
	}
	tmpl.NotBefore = tmpl.NotAfter.Add(-24 * time.Hour)
	tmpl.BasicConstraintsValid = true
	signer, signerKey := &tmpl, any(key)
	if parent != nil {
		signer, signerKey = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if cert.Leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return cert
}

func authority(t *testing.T, parent *tls.Certificate, name string) *tls.Certificate {
	return issue(t, parent, x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, KeyUsage: x509.KeyUsageCertSign})
}

func person(names ...pkix.AttributeTypeAndValue) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{ExtraNames: names}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

func cn(v string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: v}
}

func email(v string) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: v}
}

func pemOf(certs ...*tls.Certificate) (text []byte) {
	for _, c := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	}
	return text
}

// asking is a keeper that trusts the authorities in file for clients.
func asking(t *testing.T, field string, authorities ...*tls.Certificate) (k *Keeper, file string) {
	t.Helper()
	dir := t.TempDir()
	p := files(t, dir, "def", "mail.example")
	file = filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, pemOf(authorities...), 0o600); err != nil {
		t.Fatal(err)
	}
	k, _ = keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile, ClientCAFile: file, CertUsernameField: field})
	return k, file
}

// showing is a client that shows cert whatever authorities the server names.
func showing(cert *tls.Certificate) *tls.Config {
	c := Opportunistic("mail.example")
	if cert != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return c
}

// meet lets a client connect and returns the connection as the server saw it.
func meet(t *testing.T, server, client *tls.Config) tls.ConnectionState {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error, 1)
	go func() {
		b, err := net.Dial("tcp", l.Addr().String())
		if err == nil {
			defer b.Close()
			_ = b.SetDeadline(time.Now().Add(30 * time.Second))
			_, err = tls.Client(b, client).Read(make([]byte, 1)) // takes the session ticket along
		}
		ended <- err
	}()
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_ = a.SetDeadline(time.Now().Add(30 * time.Second))
	s := tls.Server(a, server)
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	return s.ConnectionState()
}

// TestClientCertificates: everybody gets a connection, and a name who proves it.
func TestClientCertificates(t *testing.T) {
	ours, foreign := authority(t, nil, "CA"), authority(t, nil, "CA") // of one name
	middle := authority(t, ours, "Middle")
	below := issue(t, middle, person(cn("alice")))
	chained := &tls.Certificate{Certificate: [][]byte{below.Certificate[0], middle.Certificate[0]}, PrivateKey: below.PrivateKey}
	long := &tls.Certificate{Certificate: chained.Certificate, PrivateKey: below.PrivateKey}
	for range maxClientChain {
		long.Certificate = append(long.Certificate, ours.Certificate[0])
	}
	expired, server, mails := person(cn("alice")), person(cn("alice")), person(cn("x"), email("subject@example"))
	expired.NotAfter = time.Now().Add(-time.Minute)
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	mails.EmailAddresses = []string{"alice@example"}
	twoMails := mails
	twoMails.EmailAddresses = []string{"alice@example", "bob@example"}

	for _, tc := range []struct {
		what  string
		field string
		cert  *tls.Certificate
		valid bool
		user  string
	}{
		{"none", FieldCommonName, nil, false, ""},
		{"ours", FieldCommonName, issue(t, ours, person(cn("alice"))), true, "alice"},
		{"ours by default", "", issue(t, ours, person(cn("alice"))), true, "alice"},
		{"foreign", FieldCommonName, issue(t, foreign, person(cn("alice"))), false, ""},
		{"self-signed", FieldCommonName, issue(t, nil, person(cn("alice"))), false, ""},
		{"expired", FieldCommonName, issue(t, ours, expired), false, ""},
		{"for servers", FieldCommonName, issue(t, ours, server), false, ""},
		{"with its intermediate", FieldCommonName, chained, true, "alice"},
		{"without it", FieldCommonName, below, false, ""},
		{"a long chain", FieldCommonName, long, false, ""},
		{"no common name", FieldCommonName, issue(t, ours, person(email("a@example"))), true, ""},
		{"two common names", FieldCommonName, issue(t, ours, person(cn("alice"), cn("root"))), true, ""},
		{"empty name", FieldCommonName, issue(t, ours, person(cn(""))), true, ""},
		{"NUL in the name", FieldCommonName, issue(t, ours, person(cn("root\x00.example"))), true, ""},
		{"long name", FieldCommonName, issue(t, ours, person(cn(strings.Repeat("a", 256)))), true, ""},
		{"email of the alternative names", FieldEmail, issue(t, ours, mails), true, "alice@example"},
		{"two of them", FieldEmail, issue(t, ours, twoMails), true, ""},
		{"email of the subject", FieldEmail, issue(t, ours, person(cn("x"), email("bob@example"))), true, "bob@example"},
		{"no email", FieldEmail, issue(t, ours, person(cn("alice"))), true, ""},
	} {
		k, _ := asking(t, tc.field, ours)
		if valid, user := k.Client(meet(t, k.Login(), showing(tc.cert))); valid != tc.valid || user != tc.user {
			t.Errorf("%s: valid %v, user %q", tc.what, valid, user)
		}
	}
}

// TestNobodyIsAsked: without authorities, and at listeners without logins.
func TestNobodyIsAsked(t *testing.T) {
	ours := authority(t, nil, "CA")
	cert := issue(t, ours, person(cn("alice")))
	with, _ := asking(t, FieldCommonName, ours)
	p := files(t, t.TempDir(), "def", "mail.example")
	without, _ := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile})
	for what, server := range map[string]*tls.Config{"no logins": with.Server(), "no authorities": without.Login()} {
		if s := meet(t, server, showing(cert)); len(s.PeerCertificates) != 0 {
			t.Errorf("%s: a certificate came", what)
		}
	}
	shown := meet(t, with.Login(), showing(cert))
	if valid, user := without.Client(shown); valid || user != "" {
		t.Error("believed without authorities")
	}
}

// TestAuthoritiesAreNamed: a program with several certificates can choose.
func TestAuthoritiesAreNamed(t *testing.T) {
	ours, other := authority(t, nil, "Ours"), authority(t, nil, "Other")
	k, _ := asking(t, FieldCommonName, ours)
	c := Opportunistic("mail.example")
	c.Certificates = []tls.Certificate{*issue(t, other, person(cn("elsewhere"))), *issue(t, ours, person(cn("alice")))}
	if _, user := k.Client(meet(t, k.Login(), c)); user != "alice" {
		t.Errorf("got %q", user)
	}
}

// TestResumedSessions keep their certificate, and lose it with its authority.
func TestResumedSessions(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ours, next := authority(t, nil, "Ours"), authority(t, nil, "Next")
		k, file := asking(t, FieldCommonName, ours)
		server := k.Login()
		known, anybody := showing(issue(t, ours, person(cn("alice")))), showing(nil)
		for _, c := range []*tls.Config{known, anybody} {
			c.MaxVersion = version
			c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		}
		look := func(c *tls.Config, resumed bool, want string) {
			t.Helper()
			state := meet(t, server, c)
			valid, user := k.Client(state)
			if state.DidResume != resumed || user != want || valid != (want != "") {
				t.Errorf("%s: resumed %v, valid %v, user %q", Version(version), state.DidResume, valid, user)
			}
		}
		look(known, false, "alice")
		look(known, true, "alice")
		look(anybody, false, "")
		look(anybody, true, "")
		if err := os.WriteFile(file, pemOf(next), 0o600); err != nil {
			t.Fatal(err)
		}
		k.Check()
		look(known, true, "")
	}
}

// TestAuthoritiesAreReplaced as certificates are: whole, or not at all.
func TestAuthoritiesAreReplaced(t *testing.T) {
	first, second := authority(t, nil, "First"), authority(t, nil, "Second")
	k, file := asking(t, FieldCommonName, first)
	user := func() string {
		_, user := k.Client(meet(t, k.Login(), showing(issue(t, second, person(cn("alice"))))))
		return user
	}
	both := pemOf(first, second)
	if err := os.WriteFile(file, both[:len(both)-40], 0o600); err != nil {
		t.Fatal(err)
	}
	k.Check()
	if got := user(); got != "" {
		t.Errorf("half a file: %q", got)
	}
	if err := os.WriteFile(file, both, 0o600); err != nil {
		t.Fatal(err)
	}
	k.Check()
	if got := user(); got != "alice" {
		t.Errorf("a whole file: %q", got)
	}
}

func TestBadAuthorities(t *testing.T) {
	dir := t.TempDir()
	p := files(t, dir, "def", "mail.example")
	good := string(pemOf(authority(t, nil, "CA")))
	for what, tc := range map[string]struct{ text, want string }{
		"empty":         {"", "no certificate"},
		"one in two":    {strings.Replace(good, "\n", "\n!", 1) + good, "not a whole one"},
		"a list":        {good + "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n", "X509 CRL"},
		"not a DER one": {"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "malformed"},
	} {
		file := filepath.Join(dir, "ca.pem")
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadAuthorities(file)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := NewKeeper(Config{CertFile: p.CertFile, KeyFile: p.KeyFile, ClientCAFile: filepath.Join(dir, "none")}, nil); err == nil {
		t.Error("a missing file")
	}

	// One that turns bad later is reported once, at the second look.
	file := filepath.Join(dir, "later.pem")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	k, events := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile, ClientCAFile: file})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 1, 1} {
		k.Check()
		if got := len(events.Named("client authorities cannot be used, keeping the old ones")); got != want {
			t.Errorf("look %d: %d reports", i, got)
		}
	}
}

// A folder of authorities: what is no certificate in it does not count.
func TestAuthoritiesInFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := loadAuthorities(dir); err == nil {
		t.Error("an empty folder")
	}
	want := x509.NewCertPool()
	for _, name := range []string{"one.pem", "two.0"} {
		text, _, err := SelfSigned([]string{name}, time.Now(), time.Hour)
		if err != nil || os.WriteFile(filepath.Join(dir, name), text, 0o600) != nil {
			t.Fatal(err)
		}
		want.AppendCertsFromPEM(text)
	}
	if err := os.WriteFile(filepath.Join(dir, "README"), []byte("authorities"), 0o600); err != nil {
		t.Fatal(err)
	}
	if pool, err := loadAuthorities(dir); err != nil || !pool.Equal(want) {
		t.Errorf("%v", err)
	}
}
