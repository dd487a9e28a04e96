package authserver

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

func parseLine(t *testing.T, raw string) dovecotauth.Line {
	t.Helper()
	l, err := dovecotauth.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseRequest(t *testing.T) {
	at := netip.MustParseAddrPort
	for name, tc := range map[string]struct {
		line string
		want Request
	}{
		"Postfix": {
			"AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.2\trip=192.0.2.1\tsecured\tresp=AGEAYg==",
			Request{
				ID: 1, Mech: "PLAIN", Service: "smtp", NoLogin: true, Secured: true, Initial: []byte("\x00a\x00b"),
				Local: at("192.0.2.2:0"), Remote: at("192.0.2.1:0"),
			},
		},
		"Exim, nothing to begin with": {
			"AUTH\t2\tLOGIN\tservice=smtp\tsecured\tvalid-client-cert\trip=2001:db8::1\tlip=2001:db8::2\tnologin\tresp=",
			Request{
				ID: 2, Mech: "LOGIN", Service: "smtp", NoLogin: true, Secured: true, ClientCert: true, Initial: []byte{},
				Local: at("[2001:db8::2]:0"), Remote: at("[2001:db8::1]:0"),
			},
		},
		"Dovecot's login process behind a proxy": {
			"AUTH\t3\tscram-sha-256\tservice=imap\tfinal-resp-ok\tsecured=tls\tno-penalty\tvalid-client-cert\tdebug\tsession=s/1" +
				"\tcert_username=bob\tlip=192.0.2.2\trip=::ffff:192.0.2.1\tlport=993\trport=4000\tssl_ja3_hash=ff" +
				"\treal_lip=10.0.0.2\treal_rip=10.0.0.1\treal_lport=1993\treal_rport=5000\tlocal_name=mx\x01texample" +
				"\tclient_id=name mutt\tforward_fields=a=1\x01tb=x\x011ty" +
				"\ttls_cipher=TLS_AES\ttls_cipher_bits=256\ttls_pfs=X25519\ttls_protocol=TLSv1.3\tfuture=1",
			Request{
				ID: 3, Mech: "SCRAM-SHA-256", Service: "imap", FinalOK: true, Secured: true, Transport: "TLS", NoPenalty: true,
				ClientCert: true, CertUser: "bob", Debug: true, Session: "s/1", LocalName: "mx\texample", ClientID: "name mutt",
				Local: at("192.0.2.2:993"), Remote: at("192.0.2.1:4000"),
				RealLocal: at("10.0.0.2:1993"), RealRemote: at("10.0.0.1:5000"),
				Forward: dovecotauth.Fields{{Key: "a", Value: "1"}, {Key: "b", Value: "x\ty"}},
				TLS:     TLS{Protocol: "TLSv1.3", Cipher: "TLS_AES", CipherBits: 256, PFS: "X25519", JA3: "ff"},
			},
		},
		"Dovecot after 2.4": {
			"AUTH\t4\tPLAIN\tprotocol=imap\ttransport=trusted",
			Request{ID: 4, Mech: "PLAIN", Service: "imap", Transport: "trusted"},
		},
		"what follows resp does not count": {
			"AUTH\t5\tPLAIN\tservice=imap\tresp=\tnologin\tsecured\tcert_username=root",
			Request{ID: 5, Mech: "PLAIN", Service: "imap", Initial: []byte{}},
		},
		"what is no address or port was not said": {
			"AUTH\t6\tPLAIN\tservice=imap\tlip=localhost\trip=192.0.2.1\tlport=1\trport=65536\ttls_cipher_bits=many",
			Request{ID: 6, Mech: "PLAIN", Service: "imap", Remote: at("192.0.2.1:0")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, params, _ := strings.Cut(tc.line, "\t")
			got, err := parseRequest([]byte(params))
			if err != nil || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("%v\n got %+v\nwant %+v", err, got, tc.want)
			}
		})
	}
}

func TestParseLookup(t *testing.T) {
	got, err := parseLookup(parseLine(t, "USER\t1\tbob@example.org\tservice=lmtp\tsession=s1\tlip=192.0.2.2\tlport=24\trip=192.0.2.1\trport=4000"+
		"\treal_rip=10.0.0.1\treal_rport=5000\tlocal_name=mx\tclient_id=x\tforward_fields=k=v\x01tflag\tfuture"))
	want := Lookup{
		User: "bob@example.org", Service: "lmtp", Session: "s1", LocalName: "mx", ClientID: "x",
		Local: netip.MustParseAddrPort("192.0.2.2:24"), Remote: netip.MustParseAddrPort("192.0.2.1:4000"),
		RealRemote: netip.MustParseAddrPort("10.0.0.1:5000"),
		Forward:    dovecotauth.Fields{{Key: "k", Value: "v"}, {Key: "flag", Flag: true}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
	for _, bad := range []string{"USER\t1", "USER\t1\tbob", "USER\t1\t\tservice=lmtp", "USER\t1\tbob\tservice="} {
		if _, err := parseLookup(parseLine(t, bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}
