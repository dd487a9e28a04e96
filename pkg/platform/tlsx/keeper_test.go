package tlsx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/obs"
)

// files writes a pair for hosts and returns where.
func files(t *testing.T, dir, name string, hosts ...string) Pair {
	t.Helper()
	p := Pair{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")}
	if err := WriteSelfSigned(p.CertFile, p.KeyFile, hosts, time.Now(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	return p
}

// replace moves new files into the place of old ones, as certificate tools do.
func replace(t *testing.T, old, new string) {
	t.Helper()
	if err := os.Rename(new, old); err != nil {
		t.Fatal(err)
	}
}

func keeper(t *testing.T, cfg Config) (*Keeper, *obs.Recorder) {
	t.Helper()
	log, events := obs.Capture()
	k, err := NewKeeper(cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	return k, events
}

// shake connects to a server with cfg and returns what the client saw.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	go func() {
		a, err := l.Accept()
		if err != nil {
			return
		}
		defer a.Close()
		s := tls.Server(a, server)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte("x")) // carries the session ticket along
		}
	}()
	c := tls.Client(b, client)
	if err := c.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	_, _ = c.Read(make([]byte, 1))
	return c.ConnectionState(), nil
}

func names(t *testing.T, k *Keeper, sni string) string {
	t.Helper()
	state, err := shake(t, k.Server(), Opportunistic(sni))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(state.PeerCertificates[0].DNSNames, ",")
}

func TestChoiceByName(t *testing.T) {
	dir := t.TempDir()
	def := files(t, dir, "def", "mail.example.org")
	cfg := Config{CertFile: def.CertFile, KeyFile: def.KeyFile, SNI: []Pair{
		files(t, dir, "b", "imap.example.net", "IMAP2.example.net"),
		files(t, dir, "w", "*.example.com"),
	}}
	k, _ := keeper(t, cfg)
	for sni, want := range map[string]string{
		"":                    "mail.example.org",
		"mail.example.org":    "mail.example.org",
		"imap.example.net":    "imap.example.net,IMAP2.example.net",
		"Imap2.Example.NET":   "imap.example.net,IMAP2.example.net",
		"a.example.com":       "*.example.com",
		"a.b.example.com":     "mail.example.org", // a wildcard is one label
		"example.com":         "mail.example.org",
		"unknown.example.edu": "mail.example.org",
	} {
		if got := names(t, k, sni); got != want {
			t.Errorf("%q got the certificate of %s, want %s", sni, got, want)
		}
	}
}

// CVE-2017-15130: names that strangers ask for by SNI cost no memory: the table
// holds what the certificates name, and nothing is made for a question.
func TestNamesOfStrangersAreNotKept(t *testing.T) {
	dir := t.TempDir()
	def := files(t, dir, "def", "mail.example.org")
	k, _ := keeper(t, Config{CertFile: def.CertFile, KeyFile: def.KeyFile, SNI: []Pair{files(t, dir, "w", "*.example.com", "example.com")}})
	config := k.Server()
	for i := range 10_000 {
		hello := tls.ClientHelloInfo{ServerName: fmt.Sprintf("%d.%s.example.com", i, strings.Repeat("x", 200))}
		if cert, err := config.GetCertificate(&hello); err != nil || cert.Leaf.DNSNames[0] != "mail.example.org" {
			t.Fatalf("%s: %v", hello.ServerName, err)
		}
	}
	if n := len(k.now.Load().byName); n != 3 {
		t.Errorf("the table holds %d names", n)
	}
	hello := tls.ClientHelloInfo{ServerName: strings.Repeat("a.", 120) + "example.edu"}
	if n := testing.AllocsPerRun(100, func() { _, _ = config.GetCertificate(&hello) }); n > 3 {
		t.Errorf("%v allocations for a name", n)
	}
}

func TestReplacement(t *testing.T) {
	dir := t.TempDir()
	p := files(t, dir, "def", "old.example.org")
	k, events := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile})
	errorsSoFar := func() int { return len(events.Named("certificate files cannot be used, keeping the old ones")) }

	k.Check()
	if len(events.Events()) != 0 {
		t.Fatal("nothing changed, nothing to say")
	}

	// First the certificate alone: it does not fit the key.
	fresh := files(t, dir, "new", "new.example.org")
	replace(t, p.CertFile, fresh.CertFile)
	k.Check()
	if got := names(t, k, ""); got != "old.example.org" || errorsSoFar() != 0 {
		t.Fatalf("half a replacement: %s, %d errors", got, errorsSoFar())
	}
	for range 3 {
		k.Check()
	}
	if errorsSoFar() != 1 {
		t.Fatalf("%d reports of one bad pair", errorsSoFar())
	}
	replace(t, p.KeyFile, fresh.KeyFile)
	k.Check()
	if got := names(t, k, ""); got != "new.example.org" || len(events.Named("certificate replaced")) != 1 {
		t.Fatalf("not replaced: %s", got)
	}

	// Files that vanish or turn to garbage change nothing either.
	if err := os.Remove(p.KeyFile); err != nil {
		t.Fatal(err)
	}
	k.Check()
	k.Check()
	if err := os.WriteFile(p.CertFile, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.Check()
	k.Check()
	if got := names(t, k, ""); got != "new.example.org" || errorsSoFar() != 3 {
		t.Fatalf("%s, %d errors", got, errorsSoFar())
	}
}

func TestExpiryIsTheFirst(t *testing.T) {
	dir := t.TempDir()
	long := files(t, dir, "long", "a.example")
	short := Pair{filepath.Join(dir, "s.pem"), filepath.Join(dir, "s.key")}
	now := time.Now().Truncate(time.Second)
	if err := WriteSelfSigned(short.CertFile, short.KeyFile, []string{"b.example"}, now, time.Hour); err != nil {
		t.Fatal(err)
	}
	k, _ := keeper(t, Config{CertFile: long.CertFile, KeyFile: long.KeyFile, SNI: []Pair{short}})
	if !k.Expiry().Equal(now.Add(time.Hour)) || k.ExpirySeconds() != float64(now.Add(time.Hour).Unix()) {
		t.Fatal(k.Expiry())
	}
}

func TestRunReplacesByItself(t *testing.T) {
	dir := t.TempDir()
	p, fresh := files(t, dir, "def", "old.example"), files(t, dir, "new", "new.example")
	k, events := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile, Poll: conf.Duration(time.Millisecond)})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() { k.Run(ctx); close(ended) }()
	replace(t, p.KeyFile, fresh.KeyFile)
	replace(t, p.CertFile, fresh.CertFile)
	if _, err := events.Wait(ctx, "certificate replaced"); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
}

func TestBadStart(t *testing.T) {
	dir := t.TempDir()
	a, b := files(t, dir, "a", "a.example"), files(t, dir, "b", "b.example")
	for what, cfg := range map[string]Config{
		"nothing":      {},
		"missing file": {CertFile: a.CertFile, KeyFile: filepath.Join(dir, "none")},
		"foreign key":  {CertFile: a.CertFile, KeyFile: b.KeyFile},
		"bad sni pair": {CertFile: a.CertFile, KeyFile: a.KeyFile, SNI: []Pair{{b.CertFile, a.KeyFile}}},
	} {
		if _, err := NewKeeper(cfg, obs.Discard()); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	p := files(t, dir, "a", "a.example")
	client := func(lo, hi uint16) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, MinVersion: lo, MaxVersion: hi}
	}
	for min, oldest := range map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		k, _ := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile, MinVersion: min})
		for _, v := range []uint16{tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
			_, err := shake(t, k.Server(), client(tls.VersionTLS10, v))
			if (err == nil) != (v >= oldest) {
				t.Errorf("min %q, client up to %s: %v", min, Version(v), err)
			}
		}
	}
}

// TestTicketsStayWithTheirListener: what a client got at one listener opens
// nothing at another.
func TestTicketsStayWithTheirListener(t *testing.T) {
	p := files(t, t.TempDir(), "a", "a.example")
	k, _ := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile})
	imap, pop := k.Server(), k.Server()
	client := Opportunistic("a.example")
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i, want := range []bool{false, true} {
		if s, err := shake(t, imap, client); err != nil || s.DidResume != want {
			t.Fatalf("handshake %d: resumed %v, %v", i, s.DidResume, err)
		}
	}
	if s, err := shake(t, pop, client); err != nil || s.DidResume {
		t.Fatalf("the other listener: resumed %v, %v", s.DidResume, err)
	}
}

func TestClients(t *testing.T) {
	p := files(t, t.TempDir(), "a", "a.example", "192.0.2.1")
	k, _ := keeper(t, Config{CertFile: p.CertFile, KeyFile: p.KeyFile})
	pem, _ := os.ReadFile(p.CertFile)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)

	if _, err := shake(t, k.Server(), Strict("a.example", roots)); err != nil {
		t.Error(err)
	}
	for _, bad := range []*tls.Config{Strict("b.example", roots), Strict("a.example", x509.NewCertPool())} {
		if _, err := shake(t, k.Server(), bad); err == nil {
			t.Errorf("%s was believed", bad.ServerName)
		}
	}
	state, err := shake(t, k.Server(), Opportunistic("b.example"))
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"a.example": true, "b.example": false, "192.0.2.1": true, "192.0.2.2": false} {
		if seen := Look(state, host, roots); seen.Verified != want || (seen.Why == nil) != want || seen.Cert == nil {
			t.Errorf("%s: %+v", host, seen)
		}
	}
	if seen := Look(tls.ConnectionState{}, "a.example", roots); seen.Verified || seen.Cert != nil {
		t.Errorf("no certificate at all: %+v", seen)
	}
	if got, want := Describe(state), "TLSv1.3 with cipher "; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, " bits)") {
		t.Error(got)
	}
}

func TestWords(t *testing.T) {
	for id, bits := range map[uint16]int{
		tls.TLS_AES_128_GCM_SHA256: 128, tls.TLS_AES_256_GCM_SHA384: 256, tls.TLS_CHACHA20_POLY1305_SHA256: 256,
		tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA: 168, tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA: 128, 0xFFFF: 0,
	} {
		if got := CipherBits(id); got != bits {
			t.Errorf("%s: %d bits, want %d", Cipher(id), got, bits)
		}
	}
	if Version(tls.VersionTLS12) != "TLSv1.2" || Version(0x9999) != "TLS-0x9999" {
		t.Error(Version(tls.VersionTLS12), Version(0x9999))
	}
	if _, _, err := SelfSigned(nil, time.Now(), time.Hour); err == nil {
		t.Error("a certificate for nobody")
	}
}
