package tlspolicy

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

var sum = strings.Repeat("ab:", 31) + "cd" // of 32 octets

func TestParse(t *testing.T) {
	d := StandardDefaults()
	for _, k := range []struct{ value, want string }{
		{"none", "none match=[] prints=0"},
		{"may", "may match=[] prints=0"},
		{"encrypt protocols=>=TLSv1.3 ciphers=high", "encrypt match=[] prints=0 min=304"},
		{"encrypt protocols=!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", "encrypt match=[] prints=0"},
		{"encrypt protocols=TLSv1.2", "encrypt match=[] prints=0 max=303"},
		{"encrypt protocols=<=TLSv1.2 connection_reuse=no", "encrypt match=[] prints=0 max=303"},
		{"encrypt protocols=!TLSv1.2", "encrypt match=[] prints=0 min=304"},
		{"Verify", "verify match=[hostname] prints=0"},
		{"verify match=MX.example.org.:hostname match=.example.net", "verify match=[mx.example.org hostname .example.net] prints=0"},
		{"secure", "secure match=[nexthop dot-nexthop] prints=0"},
		{"secure, match=nexthop, servername=mx.example.org, tafile=/etc/ca.pem", "secure match=[nexthop] prints=0 sni=mx.example.org ca=/etc/ca.pem"},
		{"secure match=mx.example.org policy_type=sts policy_domain=example.org policy_string=version:STSv1 mx_host_pattern=mx.example.org", "secure match=[mx.example.org] prints=0"},
		{"fingerprint match=" + sum + "|" + strings.ReplaceAll(sum, ":", ""), "fingerprint match=[] prints=2"},
		{"", "!empty"},
		{"dane", `!no level "dane"`},
		{"verify match", "!want attribute=value"},
		{"verify match=", "!want attribute=value"},
		{"verify match=:", "!no name to match"},
		{"verify foo=bar", `!no attribute "foo"`},
		{"encrypt match=mx.example.org", "!level encrypt has nothing to match"},
		{"encrypt protocols=TLSv1.1", "!leave neither"},
		{"encrypt protocols=<=TLSv1.1", "!leave neither"},
		{"encrypt protocols=TLSv9", `!no protocol "tlsv9"`},
		{"encrypt protocols=~TLSv1.2", `!no protocol`},
		{"fingerprint", "!needs match="},
		{"fingerprint match=ab:cd", "!not a SHA-256"},
		{"fingerprint match=" + sum + "|", "!not a SHA-256"},
		{"verify match=" + strings.Repeat("a:", 101), "!more than 100"},
	} {
		p, err := d.Parse(k.value)
		if want, bad := strings.CutPrefix(k.want, "!"); bad {
			if fail.KindOf(err) != fail.Invalid || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %q", k.value, err, want)
			}
			continue
		}
		if got := show(p); err != nil || got != k.want {
			t.Errorf("%q: %s %v\nwant %s", k.value, got, err, k.want)
		}
	}
}

// The versions of a level hold where a policy does not say others.
// What mtad check says about the value of a policy table.
func TestRemarks(t *testing.T) {
	for value, want := range map[string]string{
		"encrypt protocols=>=TLSv1.2":                  "",
		"verify match=far.example servername=hostname": "",
		"encrypt ciphers=high exclude=aNULL:MD5":       "ciphers= means nothing here; exclude= means nothing here",
		"may protocols=>=TLSv1":                        "protocols=>=tlsv1: nothing older than TLSv1.2 is spoken",
		"may protocols=TLSv1.1:TLSv1.2":                "protocols=tlsv1.1:tlsv1.2: nothing older than TLSv1.2 is spoken",
		"may protocols=!SSLv3:!TLSv1:!TLSv1.1":         "",
		"encript":                                      `TLS policy "encript": there is no level "encript"`,
	} {
		var got []string
		for _, r := range (Defaults{}).Remarks(value) {
			r, _, _ = strings.Cut(r, ": only strong")
			got = append(got, r)
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

func TestVersionsOfLevels(t *testing.T) {
	d := StandardDefaults()
	var err error
	if d.May, err = ParseVersions("<=TLSv1.2"); err != nil {
		t.Fatal(err)
	}
	if d.Mandatory, err = ParseVersions("!SSLv2, !SSLv3 !TLSv1 !TLSv1.1 !TLSv1.2"); err != nil {
		t.Fatal(err)
	}
	for _, k := range []struct{ value, want string }{
		{"may", "may match=[] prints=0 max=303"},
		{"encrypt", "encrypt match=[] prints=0 min=304"},
		{"secure", "secure match=[nexthop dot-nexthop] prints=0 min=304"},
		{"encrypt protocols=>=TLSv1.2", "encrypt match=[] prints=0"},
	} {
		if p, err := d.Parse(k.value); err != nil || show(p) != k.want {
			t.Errorf("%s: %s %v, want %s", k.value, show(p), err, k.want)
		}
	}
}

func show(p Policy) string {
	s := fmt.Sprintf("%s match=%v prints=%d", p.Level, p.Match, len(p.Prints))
	for _, f := range []struct {
		name string
		set  bool
		val  string
	}{
		{"min", p.MinVersion != 0, fmt.Sprintf("%x", p.MinVersion)},
		{"max", p.MaxVersion != 0, fmt.Sprintf("%x", p.MaxVersion)},
		{"sni", p.ServerName != "", p.ServerName},
		{"ca", p.CAFile != "", p.CAFile},
	} {
		if f.set {
			s += " " + f.name + "=" + f.val
		}
	}
	return s
}

// fixed is a table; keys that it has not but "down" are not there.
type fixed map[string]string

func (f fixed) Lookup(_ context.Context, key string) (string, error) {
	if v, ok := f[key]; ok {
		if v == "down" {
			return "", fail.New(fail.Unavailable, "no answer")
		}
		return v, nil
	}
	return "", fail.New(fail.NotFound, "not there")
}

// The keys are Postfix's: a next hop as it is written, and the parents of a
// plain domain.
func TestFind(t *testing.T) {
	d := StandardDefaults()
	table := fixed{
		"example.org": "encrypt", ".example.org": "verify", ".net": "secure", "[mx.example.org]:587": "none",
		"xn--mnchen-3ya.de": "secure", ".xn--kln-sna.de": "encrypt", "sub.down.test": "down", "broken.test": "perhaps",
	}
	for _, k := range []struct {
		hop  string
		want string
		kind fail.Kind
	}{
		{"example.org", "encrypt", 0},
		{"Example.ORG", "encrypt", 0},
		{"a.b.example.org", "verify", 0},
		{"x.net", "secure", 0},
		{"[mx.example.org]:587", "none", 0},
		{"[mx.example.org]", "may", 0}, // no parents of such a name
		{"mx.example.org:25", "may", 0},
		{"[192.0.2.1]", "may", 0},
		{"elsewhere.test", "may", 0},
		{"München.de", "secure", 0},
		{"a.köln.de", "encrypt", 0},
		{"sub.down.test", "", fail.Unavailable},
		{"broken.test", "", fail.Invalid},
	} {
		p, err := d.Find(context.Background(), table, k.hop, May)
		if k.want == "" {
			if fail.KindOf(err) != k.kind {
				t.Errorf("%s: %v", k.hop, err)
			}
			continue
		}
		if err != nil || p.Level.String() != k.want {
			t.Errorf("%s: %s %v, want %s", k.hop, p.Level, err, k.want)
		}
	}
	if p, err := d.Find(context.Background(), nil, "x.test", Secure); err != nil || show(p) != "secure match=[nexthop dot-nexthop] prints=0" {
		t.Errorf("without a table: %s %v", show(p), err)
	}
	if _, err := d.Find(context.Background(), nil, "x.test", Fingerprint); fail.KindOf(err) != fail.Invalid {
		t.Errorf("a level that nothing can fulfil: %v", err)
	}
}

func certificate(t *testing.T, names ...string) *x509.Certificate {
	t.Helper()
	text, _, err := tlsx.SelfSigned(names, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJudge(t *testing.T) {
	d := StandardDefaults()
	good, wild, other := certificate(t, "mx.example.org"), certificate(t, "*.example.org"), certificate(t, "mx.example.org")
	roots := x509.NewCertPool()
	roots.AddCert(good)
	roots.AddCert(wild)
	pemFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pemFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	whole, key := sha256.Sum256(good.Raw), sha512.Sum512(good.RawSubjectPublicKeyInfo)
	peer := Peer{Host: "mx.example.org", NextHop: "example.org"}
	for _, k := range []struct {
		policy string
		cert   *x509.Certificate
		peer   Peer
		want   string // "" for yes
	}{
		{"encrypt", nil, peer, ""},
		{"verify", good, peer, ""},
		{"verify", nil, peer, "not trusted"},
		{"verify", other, peer, "not trusted"},
		{"verify tafile=" + pemFile, other, peer, ""},
		{"verify tafile=" + pemFile, good, peer, "not trusted"},
		{"verify tafile=/nowhere/ca.pem", good, peer, "trust anchors"},
		{"verify tafile=" + os.DevNull, good, peer, "there is no certificate in it"},
		{"verify", good, Peer{Host: "mx.evil.test", NextHop: "example.org"}, "not verified"},
		{"verify", good, Peer{NextHop: "example.org"}, "not verified"}, // an address has no name to match
		{"secure", good, peer, ""},                                     // by dot-nexthop
		{"secure match=nexthop", good, peer, "not verified"},
		{"secure match=nexthop", good, Peer{Host: "x", NextHop: "mx.example.org"}, ""},
		{"secure match=dot-nexthop", wild, peer, ""},
		{"secure", good, Peer{Host: "mx.example.org", NextHop: "victim.test"}, "not verified"}, // a forged MX record
		{"secure match=.org", good, peer, ""},
		{"verify match=a.example.org", wild, peer, ""},
		{"verify match=a.b.example.org", wild, peer, "not verified"},
		{"verify match=.ample.org", good, peer, "not verified"},
		{"fingerprint match=" + hex.EncodeToString(whole[:]), good, peer, ""},
		{"fingerprint match=" + sum + "|" + hex.EncodeToString(key[:]), good, peer, ""},
		{"fingerprint match=" + hex.EncodeToString(whole[:]), other, peer, "not verified: its fingerprint"},
	} {
		p, err := d.Parse(k.policy)
		if err != nil {
			t.Fatal(err)
		}
		var state tls.ConnectionState
		if k.cert != nil {
			state.PeerCertificates = []*x509.Certificate{k.cert}
		}
		err = p.Judge(state, k.peer, roots, time.Now())
		if k.want == "" && err != nil || k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)) {
			t.Errorf("%s, %+v: %v, want %q", k.policy, k.peer, err, k.want)
		}
	}
	folder := filepath.Dir(pemFile)
	if _, err := Authorities(folder + "/ca"); err == nil {
		t.Error("a file that is not there")
	}
	if pool, err := Authorities(pemFile); err != nil || !pool.Equal(pooled(other)) {
		t.Errorf("a file: %v", err)
	}
	for name, text := range map[string]string{"README": "no certificate", "good.0": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Raw}))} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pool, err := Authorities(folder); err != nil || !pool.Equal(pooled(other, good)) {
		t.Errorf("a folder: %v", err)
	}
	if _, err := Authorities(t.TempDir()); fail.KindOf(err) != fail.Unavailable {
		t.Errorf("an empty folder: %v", err)
	}
	p := d.Of(Verify)
	if err := p.Judge(tls.ConnectionState{PeerCertificates: []*x509.Certificate{good}}, peer, roots, time.Now().Add(2*time.Hour)); err == nil {
		t.Error("a certificate that has ended")
	}
}

// Whatever a table says, it is a policy that can be carried out, or an error.
func FuzzParse(f *testing.F) {
	for _, v := range []string{"may", "secure match=a:b servername=hostname", "fingerprint match=" + sum, "encrypt protocols=>=TLSv1.2", "verify, match=.x tafile=/y"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		p, err := StandardDefaults().Parse(v)
		if err != nil {
			if fail.KindOf(err) != fail.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		if p.Level == Fingerprint && len(p.Prints) == 0 || (p.Level == Verify || p.Level == Secure) && len(p.Match) == 0 || p.MinVersion > tls.VersionTLS13 {
			t.Fatalf("%q: %+v", v, p)
		}
	})
}

func pooled(certs ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}
